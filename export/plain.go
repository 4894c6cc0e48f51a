package export

import "io"

// Plain is the bare token on one line: what command hooks of most programs
// expect.
func Plain(w io.Writer, it Item) error {
	_, err := io.WriteString(w, it.Access.Reveal()+"\n")
	return err
}

// Header is an HTTP header on one line (RFC 6750 §2.1).
func Header(w io.Writer, it Item) error {
	_, err := io.WriteString(w, "Authorization: Bearer "+it.Access.Reveal()+"\n")
	return err
}
