package export

// plain is the bare token on one line: what command hooks of most programs
// expect.
func plain(it Item) ([]byte, error) { return []byte(it.Access.Reveal() + "\n"), nil }

// header is an HTTP header on one line (RFC 6750 §2.1).
func header(it Item) ([]byte, error) {
	return []byte("Authorization: Bearer " + it.Access.Reveal() + "\n"), nil
}
