package sink

// Unfinished reports whether something of p is under way or was left behind: a
// journal lies there. It asks neither keychain nor lock. An Update, even one
// that does nothing, finishes what can be finished.
func (s *Store) Unfinished(p Profile) bool {
	return s.journalFile(p.at.place, p.at.key).exists()
}
