//go:build !windows

package openclaw

import (
	"io/fs"
	"os"
	"syscall"
)

// trusted is OpenClaw's own rule.
func trusted(fi fs.FileInfo) bool {
	st, ok := fi.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Getuid() && fi.Mode().Perm() == 0o755
}

func replace(from, to string) error { return os.Rename(from, to) }
