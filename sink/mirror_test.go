package sink_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/keytray/keytray/disk"
	"github.com/keytray/keytray/sink"
)

func (w *world) writeMirror(content string) {
	w.t.Helper()
	must(w.t, os.MkdirAll(filepath.Dir(w.mirror()), 0o700))
	must(w.t, os.WriteFile(w.mirror(), []byte(content), 0o600))
}

func TestWhatIsNotOursIsKept(t *testing.T) {
	w := newWorld(t)
	w.writeMirror(`{"x_first": [1.50, 1e3], "version": 1,
		"profiles": {"other:a": {"type": "oauth", "refresh": "theirs", "expires": 12345678901234567890},
			"odd": 7, "` + alice.ID + `": {"type": "token", "tokenRef": {"source":"exec","provider":"keytray","id":"p/x"}, "displayName": "Work <1>"}},
		"order": {"acme": ["acme:x"]}}`)
	w.login(credential("1", time.Hour))
	got := w.files()[w.mirror()]
	for _, kept := range []string{`1.50`, `1e3`, `"theirs"`, `12345678901234567890`, `"odd": 7`, `"Work <1>"`, `"acme:x"`} {
		if !strings.Contains(got, kept) {
			t.Errorf("%s is gone from\n%s", kept, got)
		}
	}
	if strings.Index(got, "x_first") > strings.Index(got, "version") || strings.Index(got, "other:a") > strings.Index(got, alice.ID) {
		t.Errorf("members changed their order:\n%s", got)
	}
}

func TestOurEntryIsWhatOpenClawReads(t *testing.T) {
	w := newWorld(t)
	w.login(credential("1", time.Hour))
	var file struct {
		Version  int `json:"version"`
		Profiles map[string]struct {
			Type     string `json:"type"`
			Provider string `json:"provider"`
			TokenRef struct {
				Source   string `json:"source"`
				Provider string `json:"provider"`
				ID       string `json:"id"`
			} `json:"tokenRef"`
			Expires   int64  `json:"expires"`
			Email     string `json:"email"`
			AccountID string `json:"accountId"`
		} `json:"profiles"`
	}
	must(t, json.Unmarshal([]byte(w.files()[w.mirror()]), &file))
	e := file.Profiles[alice.ID]
	if file.Version != 1 || e.Type != "token" || e.Provider != "acme" || e.TokenRef.Source != "exec" || e.TokenRef.Provider != "keytray" ||
		strings.ContainsAny(e.TokenRef.ID, "@+") || e.Email != "alice@example.org" || e.AccountID != "acct-1" {
		t.Errorf("entry = %+v", e)
	}
	if left := time.Until(time.UnixMilli(e.Expires)); left < 59*time.Minute || left > time.Hour {
		t.Errorf("expires in %v, want an hour: milliseconds since 1970", left)
	}
}

func TestAMirrorThatCannotBeReadIsLeftAlone(t *testing.T) {
	for name, content := range map[string]string{
		"empty":           "",
		"no JSON":         "hello",
		"an array":        "[]",
		"cut short":       `{"version": 1, "profiles": {`,
		"something after": `{} {}`,
		"twice":           `{"profiles": {}, "profiles": {}}`,
		"same id twice":   `{"profiles": {"a": {}, "a": {}}}`,
		"profiles a list": `{"profiles": []}`,
		"profiles a text": `{"profiles": "x"}`,
		"above the limit": `{"profiles": {}}` + strings.Repeat(" ", 64<<20),
		"very deep":       `{"profiles": {"a": ` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}}`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.writeMirror(content)
			err := w.open().Update(t.Context(), alice, func(*sink.Tx) error {
				t.Error("f ran")
				return nil
			})
			if _, ok := errors.AsType[*sink.MirrorError](err); !ok {
				t.Errorf("Update = %v, want a MirrorError", err)
			}
			if got := w.files()[w.mirror()]; got != content {
				t.Errorf("the file was changed to %.100q", got)
			}
		})
	}
}

func TestUnsafeFilesAreRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("access lists, not modes, protect files here")
	}
	for name, spoil := range map[string]func(*world) error{
		"symbolic link": func(w *world) error {
			must(w.t, os.Rename(w.mirror(), w.mirror()+".real"))
			return os.Symlink(w.mirror()+".real", w.mirror())
		},
		"hard link":        func(w *world) error { return os.Link(w.mirror(), w.mirror()+".twin") },
		"others may write": func(w *world) error { return os.Chmod(w.mirror(), 0o622) },
		"a folder":         func(w *world) error { must(w.t, os.Remove(w.mirror())); return os.Mkdir(w.mirror(), 0o700) },
		"linked agent":     func(w *world) error { return relink(filepath.Dir(w.mirror())) },
		"open folder":      func(w *world) error { return os.Chmod(filepath.Dir(w.mirror()), 0o777) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.login(credential("1", time.Hour))
			must(t, spoil(w))
			err := w.refresh("2")
			unsafe, ok := errors.AsType[*disk.UnsafeError](err)
			if !ok {
				t.Fatalf("refresh = %v, want an UnsafeError", err)
			}
			if strings.Contains(unsafe.Error(), "refresh-") {
				t.Errorf("the error shows a secret: %v", unsafe)
			}
		})
	}
}

// relink replaces a folder by a link to it.
func relink(dir string) error {
	if err := os.Rename(dir, dir+"-real"); err != nil {
		return err
	}
	return os.Symlink(dir+"-real", dir)
}

func TestAFIFODoesNotHang(t *testing.T) {
	w := newWorld(t)
	w.login(credential("1", time.Hour))
	must(t, os.Remove(w.mirror()))
	if err := mkfifo(w.mirror()); err != nil {
		t.Skipf("no FIFO here: %v", err)
	}
	if _, err := w.open().Profile(alice); err == nil {
		t.Error("a FIFO was read as the mirror")
	}
}

// Another program writes its own login under an id of ours: ours lives on in
// the keychain, theirs in the file.
func TestAnEntryThatBecameForeignIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	w.login(credential("1", time.Hour))
	theirs := `{"profiles": {"` + alice.ID + `": {"type": "oauth", "provider": "acme", "refresh": "theirs"}}}`
	w.writeMirror(theirs)
	err := w.refresh("2")
	if _, ok := errors.AsType[*sink.MirrorError](err); !ok {
		t.Errorf("refresh = %v, want a MirrorError", err)
	}
	if got := w.files()[w.mirror()]; got != theirs {
		t.Errorf("the file was changed to %s", got)
	}
	must(t, os.Remove(w.mirror()))
	if c, _ := w.current(); c.Refresh.Reveal() != "refresh-2" {
		t.Errorf("the login is %q, want refresh-2", c.Refresh.Reveal())
	}
}

// A killed writer leaves its half-written file; the next one clears it away.
func TestLeftoversOfAKilledWriterGo(t *testing.T) {
	w := newWorld(t)
	w.login(credential("1", time.Hour))
	left := filepath.Join(filepath.Dir(w.mirror()), ".auth-profiles.json.tmp")
	must(t, os.WriteFile(left, []byte("{"), 0o600))
	must(t, w.refresh("2"))
	if _, err := os.Stat(left); err == nil {
		t.Error("the leftover is still there")
	}
}

func TestFilesArePrivateWhateverTheUmask(t *testing.T) {
	w := newWorld(t)
	restore := setUmask(0)
	defer restore()
	w.login(credential("1", time.Hour))
	must(t, w.refresh("2"))
	for path := range w.files() {
		fi, err := os.Stat(path)
		must(t, err)
		if perm := fi.Mode().Perm(); perm&0o077 != 0 && runtime.GOOS != "windows" {
			t.Errorf("%s has mode %o", path, perm)
		}
	}
}
