package disk_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keytray/keytray/disk"
)

func TestDeliverReplacesAPlainFile(t *testing.T) {
	path := filepath.Join(private(t), "auth.json")
	for _, text := range []string{"first", "second, and longer", "3"} {
		must(t, disk.Deliver(path, []byte(text)))
		if got, err := os.ReadFile(path); string(got) != text || err != nil {
			t.Errorf("the file has %q, %v, want %q", got, err, text)
		}
	}
	fi, err := os.Stat(path)
	must(t, err)
	if runtime.GOOS != "windows" && fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %o, want 600", fi.Mode().Perm())
	}
	only(t, filepath.Dir(path), "auth.json")
}

// private is a folder that only its owner can write.
func private(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "private")
	must(t, os.Mkdir(dir, 0o700))
	return dir
}

func only(t *testing.T, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if fmt.Sprint(got) != fmt.Sprint(names) {
		t.Errorf("the folder has %q, want %q", got, names)
	}
}

func TestDeliverRefuses(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("access is by list there")
	}
	for name, prepare := range map[string]func(dir, path string) error{
		"a link":                       func(_, path string) error { return os.Symlink("elsewhere", path) },
		"a folder":                     func(_, path string) error { return os.Mkdir(path, 0o700) },
		"a pipe":                       func(_, path string) error { return exec.Command("mkfifo", path).Run() },
		"a file that others can write": func(_, path string) error { return errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(path, 0o622)) },
		"a file of two names": func(dir, path string) error {
			return errors.Join(os.WriteFile(path, nil, 0o600), os.Link(path, dir+"/b"))
		},
		"a folder that others can write": func(dir, _ string) error { return os.Chmod(dir, 0o777) },
		"a sticky folder":                func(dir, _ string) error { return os.Chmod(dir, 0o777|fs.ModeSticky) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := private(t)
			path := filepath.Join(dir, "auth.json")
			must(t, prepare(dir, path))
			before := names(t, dir)
			err := disk.Deliver(path, []byte("secret"))
			if _, unsafe := errors.AsType[*disk.UnsafeError](err); !unsafe {
				t.Errorf("got %v, want a refusal", err)
			}
			if after := names(t, dir); after != before {
				t.Errorf("the folder has %s, before %s", after, before)
			}
		})
	}
	if err := disk.Deliver(filepath.Join(t.TempDir(), "none", "x"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a folder: %v, want ErrNotExist", err)
	}
}

// names are what is in a folder, with types.
func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	return fmt.Sprint(entries)
}

// Many deliver to the same file at once, and a reader never sees part of one.
func TestDeliverNeedsNoLock(t *testing.T) {
	path := filepath.Join(private(t), "auth.json")
	whole := func(i int) []byte { return bytes.Repeat([]byte{byte('a' + i)}, 20000) }
	must(t, disk.Deliver(path, whole(0)))
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 10 {
				if err := disk.Deliver(path, whole(i)); err != nil {
					t.Error(err)
				}
				b, err := os.ReadFile(path)
				if err != nil || len(b) != 20000 || strings.Trim(string(b), string(b[:1])) != "" {
					t.Errorf("read %d bytes, %v: not one writer's", len(b), err)
				}
			}
		})
	}
	all.Wait()
	only(t, filepath.Dir(path), "auth.json")
}

// What a killed writer left goes with the next one; what another may still be
// writing, and what is not ours, stays.
func TestDeliverClearsAway(t *testing.T) {
	dir := private(t)
	old := time.Now().Add(-time.Hour)
	for _, name := range []string{".auth.json.keytray-OLD", ".auth.json.keytray-NEW", ".other.json.keytray-OLD"} {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte("token"), 0o600))
		if strings.HasSuffix(name, "OLD") {
			must(t, os.Chtimes(path, old, old))
		}
	}
	must(t, disk.Deliver(filepath.Join(dir, "auth.json"), []byte("b")))
	only(t, dir, ".auth.json.keytray-NEW", ".other.json.keytray-OLD", "auth.json")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
