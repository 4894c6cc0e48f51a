package disk_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/keytray/keytray/disk"
)

func ExampleReplace() {
	folder, err := os.MkdirTemp("", "disk")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	unlock, err := disk.TryLock(filepath.Join(folder, "lock"))
	if err != nil || unlock == nil { // nil is somebody else's
		panic(err)
	}
	defer unlock()
	path := filepath.Join(folder, "state.json")
	fmt.Println(disk.Replace(path, []byte("{}\n")))
	b, err := disk.Read(path, 1<<10)
	fmt.Printf("%s%v\n", b, err)
	// Output:
	// <nil>
	// {}
	// <nil>
}
