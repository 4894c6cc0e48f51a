package disk_test

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/keytray/keytray/disk"
)

// TestAFileIsReadWhileItIsReplaced: readers take no lock, so a file may get
// another inode between the look at it and its opening.
func TestAFileIsReadWhileItIsReplaced(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	if err := disk.Replace(path, []byte("0")); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	written := make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				written <- nil
				return
			default:
			}
			if err := disk.Replace(path, bytes.Repeat([]byte("x"), 1+i%100)); err != nil {
				written <- err
				return
			}
		}
	}()
	for range 20000 {
		if b, err := disk.Read(path, 100); err != nil || len(b) == 0 {
			t.Errorf("Read = %d bytes, %v", len(b), err)
			break
		}
	}
	close(done)
	if err := <-written; err != nil {
		t.Error(err)
	}
}
