package loan

import "os"

// link makes an entry of a private home. Without the right to make symbolic links
// a file gets a second name; for a folder there is no such way.
func link(to, from string) error {
	err := os.Symlink(to, from)
	if err == nil {
		return nil
	}
	if fi, e := os.Stat(to); e == nil && fi.Mode().IsRegular() {
		return os.Link(to, from)
	}
	return err
}
