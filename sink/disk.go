package sink

import "github.com/keytray/keytray/disk"

// Disk is where journals and mirrors lie. The real one is [RealDisk]; there is
// another for simulation. What Replace, Fill and Remove did when they returned
// nil survives a loss of power.
type Disk interface {
	// Prepare makes the folder base, which may be a link, and the real folders
	// below it, and refuses any that others could write.
	Prepare(base string, below ...string) error
	// Read returns a whole file of at most limit bytes; fs.ErrNotExist if there
	// is none.
	Read(path string, limit int64) ([]byte, error)
	// Replace puts b in place of path: the old or the new content, never part of
	// either. The caller holds the lock under which path is written.
	Replace(path string, b []byte) error
	// Reserve makes path a file of size bytes that really lie on the disk.
	Reserve(path string, size int) error
	// Fill writes b into the room of reserved and renames it to path, asking the
	// disk for no more room.
	Fill(reserved, path string, b []byte) error
	// Remove removes what is there of paths, all in one folder.
	Remove(paths ...string) error
}

// RealDisk is the file system, see package disk.
type RealDisk struct{}

// Prepare implements [Disk].
func (RealDisk) Prepare(base string, below ...string) error { return disk.Prepare(base, below...) }

// Read implements [Disk].
func (RealDisk) Read(path string, limit int64) ([]byte, error) { return disk.Read(path, limit) }

// Replace implements [Disk].
func (RealDisk) Replace(path string, b []byte) error { return disk.Replace(path, b) }

// Reserve implements [Disk].
func (RealDisk) Reserve(path string, size int) error { return disk.Reserve(path, size) }

// Fill implements [Disk].
func (RealDisk) Fill(reserved, path string, b []byte) error { return disk.Fill(reserved, path, b) }

// Remove implements [Disk].
func (RealDisk) Remove(paths ...string) error { return disk.Remove(paths...) }
