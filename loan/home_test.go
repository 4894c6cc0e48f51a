//go:build unix

package loan_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keytray/keytray/client"
	"github.com/keytray/keytray/loan"
)

const (
	lent = `{"auth_mode":"chatgptAuthTokens","tokens":{"id_token":"i","access_token":"a","refresh_token":""},"last_refresh":"x"}`
	own  = `{"tokens":{"id_token":"i","access_token":"a","refresh_token":"rt_own"},"last_refresh":"x"}`
)

// scene is a person with a real home of Codex.
type scene struct {
	t     *testing.T
	real  string
	homes loan.Homes
}

func newScene(t *testing.T) *scene {
	t.Helper()
	dir := t.TempDir()
	s := &scene{t: t, real: filepath.Join(dir, ".codex"), homes: loan.Homes{Dir: filepath.Join(dir, "keytray", "homes"), Place: filepath.Join(dir, "keytray", "locks")}}
	must(t, os.MkdirAll(filepath.Join(s.real, "sessions"), 0o700))
	s.write(s.real, "config.toml", "real")
	s.write(s.real, "auth.json", own)
	return s
}

func (s *scene) open(key string) *loan.Home {
	s.t.Helper()
	h, err := s.homes.Open(s.t.Context(), key, client.Source{Program: "codex", Path: filepath.Join(s.real, "auth.json")})
	must(s.t, err)
	must(s.t, h.Write(s.t.Context(), func() ([]byte, error) { return []byte(lent), nil }))
	return h
}

func (s *scene) close(h *loan.Home) (aside []string) {
	s.t.Helper()
	aside, err := h.Close(s.t.Context())
	must(s.t, err)
	return aside
}

func (s *scene) write(dir, name, text string) {
	s.t.Helper()
	must(s.t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
}

func (s *scene) read(dir, name string) string {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	must(s.t, err)
	return string(b)
}

// links checks that a home has links and nothing else.
func (s *scene) links(dir string) {
	s.t.Helper()
	entries, err := os.ReadDir(dir)
	must(s.t, err)
	for _, e := range entries {
		if e.Type()&fs.ModeSymlink == 0 {
			s.t.Errorf("%s is left in the private home", e.Name())
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAHomeIsTheRealOneButForTheLogin(t *testing.T) {
	s := newScene(t)
	h := s.open("a")
	if got := s.read(h.Dir, "auth.json"); got != lent {
		t.Errorf("auth.json = %s", got)
	}
	fi, err := os.Stat(filepath.Join(h.Dir, "auth.json"))
	must(t, err)
	if fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", fi.Mode())
	}
	if got := s.read(h.Dir, "config.toml"); got != "real" {
		t.Errorf("config.toml = %s", got)
	}
	s.write(h.Dir, "sessions/1", "x")
	if got := s.read(s.real, "sessions/1"); got != "x" {
		t.Errorf("the session is %q in the real home", got)
	}
	s.close(h)
	s.links(h.Dir)
	if got := s.read(s.real, "auth.json"); got != own {
		t.Errorf("the real auth.json = %s", got)
	}
}

// TestWhatIsNewEndsInTheRealHome, folders and files, and is where it was then.
func TestWhatIsNewEndsInTheRealHome(t *testing.T) {
	s := newScene(t)
	h := s.open("a")
	must(t, os.MkdirAll(filepath.Join(h.Dir, "new", "deep"), 0o700))
	s.write(h.Dir, "new/deep/file", "1")
	s.write(h.Dir, "history", "2")
	must(t, syscall.Mkfifo(filepath.Join(h.Dir, "pipe"), 0o600))
	s.close(h)
	for _, dir := range []string{s.real, h.Dir} {
		if s.read(dir, "new/deep/file") != "1" || s.read(dir, "history") != "2" {
			t.Errorf("not all is in %s", dir)
		}
	}
	s.links(h.Dir)
}

// TestTwoFoldersOfOneName: another run made it too.
func TestTwoFoldersOfOneName(t *testing.T) {
	s := newScene(t)
	h := s.open("a")
	for _, dir := range []string{h.Dir, s.real} {
		must(t, os.Mkdir(filepath.Join(dir, "new"), 0o700))
		s.write(dir, "new/same", dir)
	}
	s.write(h.Dir, "new/mine", "x")
	aside := s.close(h)
	if s.read(s.real, "new/mine") != "x" || s.read(s.real, "new/same") != s.real {
		t.Error("the folders are not one now")
	}
	if len(aside) != 1 || s.read("", aside[0]) != h.Dir {
		t.Errorf("aside = %q, want the other one of the two files", aside)
	}
	s.links(h.Dir)
}

// TestAReplacedLink: a program that renames a new file over the link means the real
// one.
func TestAReplacedLink(t *testing.T) {
	s := newScene(t)
	dotfiles := filepath.Join(t.TempDir(), "dotfile")
	s.write("", dotfiles, "old")
	must(t, os.Symlink(dotfiles, filepath.Join(s.real, "linked.toml")))
	then := time.Now().Add(-time.Hour)
	must(t, os.Chtimes(dotfiles, then, then))
	must(t, os.Chtimes(filepath.Join(s.real, "config.toml"), then, then))
	h := s.open("a")
	for _, name := range []string{"config.toml", "linked.toml"} {
		s.write(h.Dir, "new", "replaced")
		must(t, os.Rename(filepath.Join(h.Dir, "new"), filepath.Join(h.Dir, name)))
	}
	if aside := s.close(h); len(aside) > 0 {
		t.Errorf("aside: %q", aside)
	}
	if s.read(s.real, "config.toml") != "replaced" || s.read("", dotfiles) != "replaced" {
		t.Error("the real files are the old ones")
	}
	s.links(h.Dir)
}

// TestAHomeOnAnotherFileSystem: what was copied there is linked here, as what was
// moved is. Else the next run would not see the person's changes, and undo them.
func TestAHomeOnAnotherFileSystem(t *testing.T) {
	s := newScene(t)
	s.real = elsewhere(t, t.TempDir())
	s.write(s.real, "config.toml", "old")
	then := time.Now().Add(-time.Hour)
	must(t, os.Chtimes(filepath.Join(s.real, "config.toml"), then, then))
	h := s.open("a")
	s.write(h.Dir, "new", "replaced")
	must(t, os.Rename(filepath.Join(h.Dir, "new"), filepath.Join(h.Dir, "config.toml")))
	must(t, os.MkdirAll(filepath.Join(h.Dir, "sessions", "deep"), 0o700))
	s.write(h.Dir, "sessions/deep/1", "one")
	must(t, os.Symlink("deep/1", filepath.Join(h.Dir, "sessions", "last")))
	s.close(h)
	s.links(h.Dir)
	if s.read(s.real, "config.toml") != "replaced" || s.read(s.real, "sessions/last") != "one" {
		t.Error("not all is in the real home")
	}
	s.write(s.real, "config.toml", "mine")
	must(t, os.Chtimes(filepath.Join(s.real, "config.toml"), then, then))
	h = s.open("a")
	if got := s.read(h.Dir, "config.toml"); got != "mine" {
		t.Errorf("the next run sees %q, want the person's change", got)
	}
	s.close(h)
	if got := s.read(s.real, "config.toml"); got != "mine" {
		t.Errorf("the person's change became %q", got)
	}
}

// elsewhere is a folder on another file system than dir.
func elsewhere(t *testing.T, dir string) string {
	t.Helper()
	const memory = "/dev/shm"
	var here, there syscall.Stat_t
	must(t, syscall.Stat(dir, &here))
	if err := syscall.Stat(memory, &there); err != nil || here.Dev == there.Dev {
		t.Skip("there is one file system only")
	}
	other, err := os.MkdirTemp(memory, "keytray-") //nolint:usetesting // t.TempDir is on one file system
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(other)) })
	return other
}

// TestALoginOfItsOwnIsNotLost: codex login in a run. The real one stays what it was.
func TestALoginOfItsOwnIsNotLost(t *testing.T) {
	s := newScene(t)
	h := s.open("a")
	s.write(h.Dir, "auth.json", strings.ReplaceAll(own, "rt_own", "rt_new"))
	err := h.Write(t.Context(), func() ([]byte, error) { return []byte(lent), nil })
	if !errors.Is(err, loan.ErrOwn) {
		t.Errorf("write over a login of its own: %v", err)
	}
	aside := s.close(h)
	if s.read(s.real, "auth.json") != own {
		t.Error("the real login is another one now")
	}
	if len(aside) != 1 || !strings.Contains(s.read("", aside[0]), "rt_new") {
		t.Errorf("aside = %q, want the new login", aside)
	}
	s.links(h.Dir)

	must(t, os.Remove(filepath.Join(s.real, "auth.json")))
	h = s.open("a")
	s.write(h.Dir, "auth.json", own)
	s.close(h)
	if s.read(s.real, "auth.json") != own {
		t.Error("the login is not in the real home, where there was none")
	}
}

// TestTheLastOneTakesItBack, and each login has a home.
func TestTheLastOneTakesItBack(t *testing.T) {
	s := newScene(t)
	a, b, other := s.open("a"), s.open("a"), s.open("b")
	if a.Dir != b.Dir || a.Dir == other.Dir {
		t.Fatalf("homes %s, %s and %s", a.Dir, b.Dir, other.Dir)
	}
	s.close(a)
	if n, err := s.homes.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("a sweep settled %d homes that somebody runs in, %v", n, err)
	}
	s.read(b.Dir, "auth.json")
	s.close(b)
	s.links(b.Dir)
	s.read(other.Dir, "auth.json")
	s.close(other)
}

// TestNoLinkIsFollowed when something is removed.
func TestNoLinkIsFollowed(t *testing.T) {
	s := newScene(t)
	s.write(s.real, "sessions/1", "x")
	h := s.open("a")
	must(t, os.Remove(filepath.Join(h.Dir, "auth.json")))
	must(t, os.Symlink(filepath.Join(s.real, "auth.json"), filepath.Join(h.Dir, "auth.json")))
	if err := h.Write(t.Context(), func() ([]byte, error) { return []byte(lent), nil }); err == nil {
		t.Error("written through a link")
	}
	s.close(h)
	must(t, os.RemoveAll(filepath.Dir(h.Dir)))
	if s.read(s.real, "auth.json") != own || s.read(s.real, "sessions/1") != "x" {
		t.Error("the real home is not what it was")
	}
}

// TestALinkThatLeadsNowhere: the person removed a folder, and the program may make
// it again.
func TestALinkThatLeadsNowhere(t *testing.T) {
	s := newScene(t)
	s.close(s.open("a"))
	must(t, os.Remove(filepath.Join(s.real, "sessions")))
	h := s.open("a")
	must(t, os.MkdirAll(filepath.Join(h.Dir, "sessions", "1"), 0o700))
	s.close(h)
	if _, err := os.Stat(filepath.Join(s.real, "sessions", "1")); err != nil {
		t.Error(err)
	}
}

// TestAKilledRunIsSettled by a sweep and by the next run, without loss.
func TestAKilledRunIsSettled(t *testing.T) {
	settle := map[string]func(*scene){
		"sweep": func(s *scene) {
			if n, err := s.homes.Sweep(t.Context()); n != 1 || err != nil {
				t.Errorf("the sweep settled %d homes, %v; want 1", n, err)
			}
		},
		"run": func(s *scene) { s.close(s.open("a")) },
	}
	for name, f := range settle {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			dir := s.killed()
			s.read(dir, "auth.json") // else this shows nothing
			f(s)
			s.links(dir)
			if s.read(s.real, "made") != "by the killed one" || s.read(s.real, "auth.json") != own {
				t.Error("the real home is not what it should be")
			}
			if n, err := s.homes.Sweep(t.Context()); n != 0 || err != nil {
				t.Errorf("another sweep settled %d homes, %v", n, err)
			}
		})
	}
}

// TestASettlementIsBegunAnew where the first one came to no end.
func TestASettlementIsBegunAnew(t *testing.T) {
	s := newScene(t)
	dir := s.killed()
	long := strings.Repeat("n", 250) // and so there is no name to keep it beside
	s.write(dir, long, "by the killed one")
	s.write(s.real, long, "mine")
	if _, err := s.homes.Sweep(t.Context()); err == nil {
		t.Fatal("a name that is too long was made")
	}
	must(t, os.Remove(filepath.Join(s.real, long)))
	if n, err := s.homes.Sweep(t.Context()); n != 1 || err != nil {
		t.Errorf("the next sweep settled %d homes, %v; want 1", n, err)
	}
	s.links(dir)
	if got := s.read(s.real, long); got != "by the killed one" {
		t.Errorf("the file is %q", got)
	}
	entries, err := os.ReadDir(s.real)
	must(t, err)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".keytray-") {
			t.Errorf("%s is left", e.Name())
		}
	}
}

// killed opens a home in a process that is killed, and returns the home's folder.
func (s *scene) killed() string {
	s.t.Helper()
	cmd := helper(s.t.Context(), "home", s.homes.Dir, s.homes.Place, s.real)
	out, err := cmd.StdoutPipe()
	must(s.t, err)
	must(s.t, cmd.Start())
	b := make([]byte, 4096)
	n, err := out.Read(b)
	must(s.t, err)
	dir := strings.TrimSpace(string(b[:n]))
	must(s.t, cmd.Process.Kill())
	_ = cmd.Wait()
	return dir
}

// helper is this test's program as another process, see TestMain.
func helper(ctx context.Context, args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = append(os.Environ(), "LOAN_HELPER=1")
	return cmd
}
