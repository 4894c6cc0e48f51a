//go:build unix

package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// openNoFollow makes an open fail on a symbolic link and never wait on a FIFO.
const openNoFollow = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// checkOwner refuses what belongs to somebody else or what others may write.
func checkOwner(path string, fi fs.FileInfo) error {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return &UnsafeError{Path: path, Reason: "has no owner that can be read"}
	}
	if int(st.Uid) != os.Geteuid() {
		return &UnsafeError{Path: path, Reason: fmt.Sprintf("belongs to user %d, not to you", st.Uid), Hint: "chown it to yourself, or run keytray as its owner"}
	}
	if perm := fi.Mode().Perm(); perm&0o022 != 0 {
		return &UnsafeError{Path: path, Reason: fmt.Sprintf("can be written by others (mode %o)", perm), Hint: fmt.Sprintf("chmod go-w %q", path)}
	}
	if fi.Mode().IsRegular() && st.Nlink > 1 {
		return &UnsafeError{Path: path, Reason: "has more than one name (hard link)", Hint: "replace it by a copy of itself"}
	}
	return nil
}

func rename(from, to string) error { return os.Rename(from, to) }

// syncDir makes renames and removals in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		err = nil // a file system that cannot sync folders orders them itself
	}
	return errors.Join(err, d.Close())
}
