package outlet_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keytray/keytray/client"
	"github.com/keytray/keytray/outlet"
	"github.com/keytray/keytray/sink"
)

// scene is a file that is kept current with a login of which only the generation
// is of interest.
type scene struct {
	t    testing.TB
	list outlet.List
	out  outlet.Outlet
	// generation is the login's; 0 is signed out.
	generation atomic.Uint64
}

func newScene(tb testing.TB) *scene {
	tb.Helper()
	return at(tb, tb.TempDir())
}

func at(tb testing.TB, dir string) *scene { //nolint:thelper // a writer has none
	s := &scene{t: tb, list: outlet.List{Dir: filepath.Join(dir, "keytray", "outlets"), Place: filepath.Join(dir, "keytray", "locks")}}
	s.out = outlet.Outlet{V: 1, Root: dir, Agent: "main", Profile: "demo:alice", Format: "env", Path: filepath.Join(dir, "out", "token")}
	s.generation.Store(1)
	return s
}

func (s *scene) fetch(context.Context, outlet.Outlet) (outlet.Text, error) {
	g := s.generation.Load()
	if g == 0 {
		return outlet.Text{}, sink.ErrUnknownProfile
	}
	return outlet.Text{Generation: g, Bytes: fmt.Appendf(nil, "token %d of %s\n", g, strings.Repeat("x", 2000))}, nil
}

func (s *scene) profile() sink.Profile { return sink.Profile{Generation: s.generation.Load()} }

func (s *scene) due() bool {
	return s.list.Due(s.out, s.profile(), s.generation.Load() > 0, time.Now())
}

// read is the generation in the file; 0 if there is no file.
func (s *scene) read() uint64 {
	s.t.Helper()
	b, err := os.ReadFile(s.out.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	must(s.t, err)
	var g uint64
	var rest string
	if _, err := fmt.Sscanf(string(b), "token %d of %s\n", &g, &rest); err != nil || len(rest) != 2000 {
		s.t.Fatalf("the file is %q", b)
	}
	return g
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func TestAFileIsWrittenWhenItIsDue(t *testing.T) {
	s := newScene(t)
	must(t, s.list.Add(t.Context(), s.out, s.fetch))
	fi, err := os.Stat(s.out.Path)
	must(t, err)
	if s.read() != 1 || fi.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows" {
		t.Errorf("generation %d, mode %v", s.read(), fi.Mode())
	}
	if s.due() {
		t.Error("it is due right after it was written")
	}
	s.generation.Store(2)
	if !s.due() {
		t.Error("it is not due after a renewal")
	}
	must(t, s.list.Write(t.Context(), s.out, nil, s.fetch))
	if s.read() != 2 || s.due() {
		t.Errorf("generation %d, want 2", s.read())
	}
	must(t, os.WriteFile(s.out.Path, []byte("mine"), 0o600))
	if !s.due() {
		t.Error("it is not due after somebody changed it")
	}
	must(t, s.list.Write(t.Context(), s.out, nil, s.fetch))
	must(t, os.Remove(s.out.Path))
	if !s.due() {
		t.Error("it is not due after somebody removed it")
	}
	must(t, s.list.Write(t.Context(), s.out, nil, s.fetch))
	if s.read() != 2 {
		t.Errorf("generation %d, want 2", s.read())
	}
}

func TestSigningOutTakesItOut(t *testing.T) {
	s := newScene(t)
	must(t, s.list.Add(t.Context(), s.out, s.fetch))
	half := filepath.Join(filepath.Dir(s.out.Path), ".token.keytray-sync") // of a killed writer
	must(t, os.WriteFile(half, []byte("token"), 0o600))
	s.generation.Store(0)
	if !s.due() {
		t.Error("it is not due after the login went")
	}
	must(t, s.list.Write(t.Context(), s.out, nil, s.fetch))
	if _, err := os.Lstat(half); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what a killed writer left is there: %v", err)
	}
	if s.read() != 0 || s.due() || !s.list.Last(s.out).SignedOut {
		t.Errorf("generation %d, %+v", s.read(), s.list.Last(s.out))
	}
	s.generation.Store(1) // a new login counts from 1 again
	if !s.due() {
		t.Error("it is not due after a new login")
	}
	must(t, s.list.Write(t.Context(), s.out, nil, s.fetch))
	must(t, s.list.Remove(t.Context(), s.out))
	if all, err := s.list.All(s.out.Root); s.read() != 0 || len(all) > 0 || err != nil {
		t.Errorf("after the removal: generation %d, %d outlets, %v", s.read(), len(all), err)
	}
	must(t, s.list.Write(t.Context(), s.out, nil, s.fetch))
	if s.read() != 0 {
		t.Error("a file that was removed from the list was written")
	}
}

// TestWhatIsNotOursStays, at first and when it has taken our file's place.
func TestWhatIsNotOursStays(t *testing.T) {
	s := newScene(t)
	must(t, os.MkdirAll(filepath.Dir(s.out.Path), 0o700))
	must(t, os.WriteFile(s.out.Path, []byte("mine"), 0o600))
	if err := s.list.Add(t.Context(), s.out, s.fetch); !errors.Is(err, sink.ErrFileExists) {
		t.Errorf("add over another file: %v, want %v", err, sink.ErrFileExists)
	}
	if all, _ := s.list.All(s.out.Root); len(all) > 0 {
		t.Error("it is on the list all the same")
	}
	must(t, os.Remove(s.out.Path))
	must(t, s.list.Add(t.Context(), s.out, s.fetch))
	if err := s.list.Add(t.Context(), s.out, s.fetch); !errors.Is(err, outlet.ErrKept) {
		t.Errorf("add again: %v, want ErrKept", err)
	}
	must(t, os.WriteFile(s.out.Path, []byte("mine"), 0o600))
	if err := s.list.Remove(t.Context(), s.out); !errors.Is(err, outlet.ErrChanged) {
		t.Errorf("remove of what somebody changed: %v, want %v", err, outlet.ErrChanged)
	}
	if b, _ := os.ReadFile(s.out.Path); string(b) != "mine" {
		t.Errorf("the file is %q", b)
	}
	if all, _ := s.list.All(s.out.Root); len(all) > 0 {
		t.Error("it is on the list all the same")
	}
}

// TestATokenThatMayStayIsTold: after the sign-out it is an error, until the file is
// gone.
func TestATokenThatMayStayIsTold(t *testing.T) {
	s := newScene(t)
	must(t, s.list.Add(t.Context(), s.out, s.fetch))
	b, err := os.ReadFile(s.out.Path)
	must(t, err)
	must(t, os.WriteFile(s.out.Path, append(b, "mine"...), 0o600))
	s.generation.Store(0)
	if err := s.list.Write(t.Context(), s.out, nil, s.fetch); !errors.Is(err, outlet.ErrChanged) || s.list.Last(s.out).SignedOut {
		t.Errorf("the sign-out: %v, %+v", err, s.list.Last(s.out))
	}
	must(t, os.Remove(s.out.Path))
	must(t, s.list.Write(t.Context(), s.out, nil, s.fetch))
	if last := s.list.Last(s.out); !last.SignedOut || last.Error != "" {
		t.Errorf("after the file was deleted: %+v", last)
	}
}

// TestALoginInItsPlaceStays: a program signed in by itself, into a file of which we
// wrote the whole.
func TestALoginInItsPlaceStays(t *testing.T) {
	const theirs = `{"access_token":"a","refresh_token":"theirs"}`
	s := newScene(t)
	must(t, s.list.Add(t.Context(), s.out, s.fetch))
	must(t, os.WriteFile(s.out.Path, []byte(theirs), 0o600))
	s.generation.Store(2)
	err := s.list.Write(t.Context(), s.out, nil, s.fetch)
	if _, ok := errors.AsType[*client.OwnedError](err); !ok {
		t.Errorf("a renewal: %v, want an OwnedError", err)
	}
	must(t, s.list.Remove(t.Context(), s.out))
	if b, _ := os.ReadFile(s.out.Path); string(b) != theirs {
		t.Errorf("the file is %q", b)
	}
}

// TestARemovedFolderStaysSo.
func TestARemovedFolderStaysSo(t *testing.T) {
	s := newScene(t)
	must(t, s.list.Add(t.Context(), s.out, s.fetch))
	must(t, os.RemoveAll(filepath.Dir(s.out.Path)))
	if err := s.list.Write(t.Context(), s.out, nil, s.fetch); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("write: %v, want %v", err, fs.ErrNotExist)
	}
	if _, err := os.Lstat(filepath.Dir(s.out.Path)); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the folder is back")
	}
	must(t, s.list.Remove(t.Context(), s.out))
}

// TestTheListIsOfOneRoot, and a damaged entry does not hide the others.
func TestTheListIsOfOneRoot(t *testing.T) {
	s := newScene(t)
	must(t, s.list.Add(t.Context(), s.out, s.fetch))
	other := s.out
	other.Root, other.Path = t.TempDir(), s.out.Path+"2"
	must(t, s.list.Add(t.Context(), other, s.fetch))
	must(t, os.WriteFile(filepath.Join(s.list.Dir, "x.outlet"), []byte("{"), 0o600))
	all, err := s.list.All(s.out.Root)
	if len(all) != 1 || all[0] != s.out || !errors.Is(err, outlet.ErrDamaged) {
		t.Errorf("All = %v, %v", all, err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if os.Symlink(s.out.Root, link) == nil { // not every Windows lets us
		if all, _ := s.list.All(link); len(all) != 1 {
			t.Errorf("%d outlets by another name of the folder, want 1", len(all))
		}
	}
}

// TestFilesFollowTheirLogins to another state folder.
func TestFilesFollowTheirLogins(t *testing.T) {
	s := newScene(t)
	must(t, s.list.Add(t.Context(), s.out, s.fetch))
	to := t.TempDir()
	must(t, s.list.Move(t.Context(), s.out.Root, to, []sink.Ref{{Agent: "main", ID: "another"}}))
	if all, err := s.list.All(to); len(all) > 0 || err != nil {
		t.Errorf("the file of a login that stayed is at %v, %v", all, err)
	}
	must(t, s.list.Move(t.Context(), s.out.Root, to, []sink.Ref{s.out.Login()}))
	all, err := s.list.All(to)
	if len(all) != 1 || all[0].Path != s.out.Path || err != nil {
		t.Fatalf("after the move: %v, %v", all, err)
	}
	s.out = all[0]
	s.generation.Store(2)
	must(t, s.list.Write(t.Context(), s.out, nil, s.fetch))
	if s.read() != 2 {
		t.Errorf("generation %d, want 2", s.read())
	}
}

// TestFailuresAreRetried, ever more slowly, and no more once it works.
func TestFailuresAreRetried(t *testing.T) {
	s := newScene(t)
	must(t, s.list.Add(t.Context(), s.out, s.fetch))
	synctest.Test(t, func(t *testing.T) {
		s.generation.Store(2)
		attempts, broken := 0, true
		fetch := func(ctx context.Context, o outlet.Outlet) (outlet.Text, error) {
			attempts++
			if broken {
				return outlet.Text{}, errors.New("the keychain is locked")
			}
			return s.fetch(ctx, o)
		}
		turn := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); <-time.After(time.Second) {
				if s.due() {
					_ = s.list.Write(t.Context(), s.out, nil, fetch)
				}
			}
		}
		turn(2 * time.Hour)
		last := s.list.Last(s.out)
		if attempts < 12 || attempts > 20 || last.Error != "the keychain is locked" || last.Generation != 1 {
			t.Errorf("%d attempts in two hours, %+v", attempts, last)
		}
		renewed := s.profile()
		renewed.Minted.Wall = time.Now()
		if s.due() || !s.list.Due(s.out, renewed, true, time.Now()) {
			t.Error("it is due in the rest after a failure, or not due after a renewal")
		}
		broken = false
		turn(11 * time.Minute)
		if s.read() != 2 || s.list.Last(s.out).Error != "" {
			t.Errorf("generation %d, %+v", s.read(), s.list.Last(s.out))
		}
		attempts = 0
		turn(time.Hour)
		if attempts > 0 {
			t.Errorf("%d attempts where nothing is due", attempts)
		}
	})
}

// TestNewestOnly: writers of all speeds, whose fetches fail and take their time, and
// renewals meanwhile. Whoever looks sees generations that only grow, and the last
// one at the end.
func TestNewestOnly(t *testing.T) {
	if testing.Short() {
		t.Skip("syncs a disk some thousand times")
	}
	for seed := range uint64(2) {
		s := newScene(t)
		must(t, s.list.Add(t.Context(), s.out, s.fetch))
		synctest.Test(t, func(t *testing.T) { s.simulate(t, rand.New(rand.NewPCG(seed, 0))) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func (s *scene) simulate(t *testing.T, r *rand.Rand) {
	t.Helper()
	var mu sync.Mutex // guards r
	dice := func(d time.Duration) time.Duration {
		mu.Lock()
		defer mu.Unlock()
		return time.Duration(r.Int64N(int64(d)))
	}
	slow := func(ctx context.Context, o outlet.Outlet) (outlet.Text, error) {
		text, err := s.fetch(ctx, o)
		<-time.After(dice(3 * time.Second)) // it is old by the time it is here
		if dice(10) == 0 {
			return outlet.Text{}, errors.New("not now")
		}
		return text, err
	}
	stop := make(chan struct{})
	var all sync.WaitGroup
	every := func(d time.Duration, f func()) {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(dice(d)):
					f()
				}
			}
		})
	}
	for range 4 {
		every(2*time.Second, func() { _ = s.list.Write(t.Context(), s.out, nil, slow) })
	}
	every(4*time.Second, func() { s.generation.Add(1) })
	seen := uint64(0)
	every(300*time.Millisecond, func() {
		g := s.read()
		if g < seen {
			t.Errorf("generation %d after %d", g, seen)
		}
		seen = g
	})
	<-time.After(time.Minute)
	close(stop)
	all.Wait()
	for s.due() || s.list.Last(s.out).Error != "" {
		<-time.After(time.Second)
		_ = s.list.Write(t.Context(), s.out, nil, slow)
	}
	if g := s.generation.Load(); s.read() != g || g < 10 {
		t.Errorf("generation %d in the file at the end, the login's is %d", s.read(), g)
	}
}

// helperVariable makes this test's program a writer that never stops: the folder of
// a scene.
const helperVariable = "OUTLET_WRITER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperVariable); dir != "" {
		writeForEver(dir)
	}
	os.Exit(m.Run())
}

// writeForEver writes the generation that stands in a file.
func writeForEver(dir string) {
	s := at(nil, dir)
	for {
		err := s.list.Write(context.Background(), s.out, nil, func(ctx context.Context, o outlet.Outlet) (outlet.Text, error) {
			b, err := os.ReadFile(filepath.Join(dir, "generation"))
			if err != nil {
				return outlet.Text{}, err
			}
			g, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
			s.generation.Store(g)
			text, fetchErr := s.fetch(ctx, o)
			return text, errors.Join(err, fetchErr)
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// TestTwoWritersAreKilled, again and again, at any moment: the file is always whole
// and never older, and what a killed one left is known as ours.
func TestTwoWritersAreKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes for seconds")
	}
	s := newScene(t)
	must(t, s.list.Add(t.Context(), s.out, s.fetch))
	self, err := os.Executable()
	must(t, err)
	seen, generation := uint64(0), uint64(1)
	for range 25 {
		var writers []*exec.Cmd
		for range 2 {
			cmd := exec.CommandContext(t.Context(), self)
			cmd.Env = append(os.Environ(), helperVariable+"="+s.out.Root)
			cmd.Stderr = os.Stderr
			must(t, cmd.Start())
			writers = append(writers, cmd)
		}
		for end := time.Now().Add(60*time.Millisecond + rand.N(60*time.Millisecond)); time.Now().Before(end); {
			generation++
			s.set(generation)
			g := s.read()
			if g < seen {
				t.Errorf("generation %d after %d", g, seen)
			}
			seen = g
		}
		for _, cmd := range writers {
			must(t, cmd.Process.Kill())
			_ = cmd.Wait()
		}
		s.read()
	}
	if seen < 10 {
		t.Errorf("the writers came to generation %d only: this shows little", seen)
	}
	s.generation.Store(0)
	must(t, s.list.Write(t.Context(), s.out, nil, s.fetch))
	if s.read() != 0 {
		t.Errorf("a token of a killed writer was not known as ours, and stays")
	}
	left, err := os.ReadDir(filepath.Dir(s.out.Path))
	must(t, err)
	for _, e := range left {
		t.Errorf("%s is left by a killed writer", e.Name())
	}
}

// set changes the generation that writers in other processes see, at once.
func (s *scene) set(g uint64) {
	s.t.Helper()
	path := filepath.Join(s.out.Root, "generation")
	must(s.t, os.WriteFile(path+".new", fmt.Appendln(nil, g), 0o600))
	must(s.t, os.Rename(path+".new", path))
}

// FuzzOutlet: an entry is refused, or names a file and a folder in full.
func FuzzOutlet(f *testing.F) {
	f.Add([]byte(`{"v":1,"root":"/r","agent":"main","profile":"p","format":"env","path":"/x/y"}`))
	f.Add([]byte(`{"v":2}`))
	f.Add([]byte(`{"v":1,"root":"/r","agent":"../x","profile":"p","format":"env","path":"/x/../y"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		l := outlet.List{Dir: t.TempDir()}
		must(t, os.WriteFile(filepath.Join(l.Dir, "a.outlet"), b, 0o600))
		all, err := l.All("/r")
		for _, o := range all {
			if !filepath.IsAbs(o.Path) || filepath.Clean(o.Path) != o.Path || sink.CheckAgent(o.Agent) != nil {
				t.Errorf("%q is %+v", b, o)
			}
		}
		if len(all) > 0 && err != nil {
			t.Errorf("%q: %v beside an outlet", b, err)
		}
	})
}
