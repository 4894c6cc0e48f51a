package sink

// Journalled reports whether what was received lies in the journal, so that it
// survives this process. It does not where the disk failed; the lock is then
// kept until the keychain has it.
func (tx *Tx) Journalled() bool { return tx.journalled }
