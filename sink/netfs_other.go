//go:build !linux

package sink

// checkLocal cannot tell file systems apart here.
func checkLocal(string) error { return nil }
