//go:build unix

package loan

import "os"

// link makes an entry of a private home.
func link(to, from string) error { return os.Symlink(to, from) }
