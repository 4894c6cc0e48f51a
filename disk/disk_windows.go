package disk

import (
	"io/fs"
	"os"
	"time"
)

// openNoFollow: opening a link cannot be refused here by a flag; the caller
// compares what it opened with what it saw.
const openNoFollow = 0

// checkOwner: the profile folder's access list protects the files here.
func checkOwner(string, fs.FileInfo) error { return nil }

// rename tries again for a second while another program has the target open,
// which this system answers with an access error.
func rename(from, to string) error {
	var err error
	for wait := 20 * time.Millisecond; wait <= 320*time.Millisecond; wait *= 2 {
		if err = os.Rename(from, to); err == nil {
			return nil
		}
		<-time.After(wait)
	}
	return err
}

// syncDir: folders cannot be synced here; NTFS journals its renames.
func syncDir(string) error { return nil }
