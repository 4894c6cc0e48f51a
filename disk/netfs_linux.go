package disk

import (
	"fmt"
	"syscall"
)

// remote are the file systems on which a lock may mean nothing, by the magic
// numbers of statfs(2).
func remote(magic int64) string {
	switch magic {
	case 0x6969:
		return "NFS"
	case 0x517b, 0xff534d42, 0xfe534d42:
		return "SMB"
	case 0x01021997:
		return "9p"
	case 0x5346414f:
		return "AFS"
	case 0x00c36400:
		return "Ceph"
	case 0x65735546:
		return "FUSE"
	}
	return ""
}

// CheckLocal refuses a folder on a network file system: locks there do not
// reliably keep two machines apart.
func CheckLocal(dir string) error {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return fmt.Errorf("looking at the file system of %s: %w", dir, err)
	}
	if name := remote(int64(uint32(st.Type))); name != "" { //nolint:gosec // magic numbers are 32 bits; the field's type differs by architecture
		return &UnsafeError{Path: dir, Reason: "lies on a network file system (" + name + "), where locks are not reliable", Hint: "keep your home folder's .local/state on a local disk"}
	}
	return nil
}
