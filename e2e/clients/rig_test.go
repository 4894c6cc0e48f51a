//go:build linux

package clients

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keytray/keytray/keychain/session"
)

// wanted is set by make test-clients.
var wanted = flag.Bool("clients", false, "run the real clients")

// insideVariable says that the process is the one in the namespace.
const insideVariable = "CLIENTS_INSIDE"

// keytray is the program under test, built as it is shipped.
var keytray string

func TestMain(m *testing.M) {
	flag.Parse()
	switch {
	case !*wanted:
		os.Exit(m.Run())
	case os.Getenv(insideVariable) == "":
		os.Exit(enter())
	default:
		os.Exit(buildAndRun(m))
	}
}

// enter runs this program again where the network is the loopback interface
// only, and /run is the tests' own.
func enter() int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideVariable+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if uid := os.Getuid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "making a network of its own:", err)
		return 1
	}
	return 0
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "keytray-clients-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	names := filepath.Join(dir, "hosts")
	if err := os.WriteFile(names, []byte("127.0.0.1 localhost "+strings.Join(hosts, " ")+"\n::1 localhost\n"), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for _, step := range [][]string{
		{"mount", "--make-rprivate", "/"},
		{"mount", "-t", "tmpfs", "none", "/run"},
		{"ip", "link", "set", "lo", "up"},
		{"mount", "--bind", names, "/etc/hosts"},
	} {
		if out, err := exec.Command(step[0], step[1:]...).CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n%s", strings.Join(step, " "), err, out)
			return 1
		}
	}
	keytray = filepath.Join(dir, "keytray")
	build := exec.Command("go", "build", "-trimpath", "-o", keytray, "../../cmd/keytray")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building keytray: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// node is the one that e2e/setup.sh installs.
func node(tb testing.TB) string {
	tb.Helper()
	dir, err := filepath.Abs("../node_modules/node-linux-" + strings.Replace(runtime.GOARCH, "amd", "x", 1) + "/bin")
	if err != nil {
		tb.Fatal(err)
	}
	return dir
}

// need skips the test unless that client was installed, and returns the folder of
// its packages. setup.sh fails where npm answers and a client cannot be had.
func need(tb testing.TB, name string) (packages string) {
	tb.Helper()
	if !*wanted {
		tb.Skip("real clients take minutes: make test-clients")
	}
	dir, err := filepath.Abs(filepath.Join(name, "node_modules"))
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, ".installed")); err != nil {
		tb.Skipf("%s is not installed: npm did not answer, or setup.sh was not asked for it", name)
	}
	return dir
}

// rig is a private desktop for keytray and the clients.
type rig struct {
	t         testing.TB
	dir, home string
	bus       *session.Session
	env       []string
}

func newRig(tb testing.TB) *rig {
	tb.Helper()
	dir, err := os.MkdirTemp("", "clients-") //nolint:usetesting // a socket's path holds 107 bytes
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	r := &rig{t: tb, dir: dir, home: filepath.Join(dir, "home")}
	for _, d := range []string{"bin", "session", "tmp", "home"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			tb.Fatal(err)
		}
	}
	if r.bus, err = session.Start(tb.Context(), filepath.Join(dir, "session")); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { r.bus.Close() })
	r.env = append(r.bus.Env(), "HOME="+r.home, "TMPDIR="+filepath.Join(dir, "tmp"), "LANG=C.UTF-8",
		"PATH="+strings.Join([]string{filepath.Join(dir, "bin"), node(tb), "/usr/bin", "/bin"}, ":"))
	return r
}

func (r *rig) write(path, text string) {
	r.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// said is what a program printed, how it ended, and what it took.
type said struct {
	stdout, stderr string
	code           int
	took           time.Duration
	peak           int64 // of its memory, bytes
}

// run runs a program for at most four minutes.
func (r *rig) run(stdin, program string, args ...string) said {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	var out, complaint bytes.Buffer
	cmd.Env, cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = r.env, r.dir, strings.NewReader(stdin), &out, &complaint
	cmd.WaitDelay = time.Second
	began := time.Now()
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		r.t.Fatalf("%s %s: %v", filepath.Base(program), strings.Join(args, " "), err)
	}
	took := time.Since(began)
	r.t.Logf("%s %s: exit %d after %.1f s", filepath.Base(program), strings.Join(args, " "), cmd.ProcessState.ExitCode(), took.Seconds())
	peak := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
	return said{out.String(), complaint.String(), cmd.ProcessState.ExitCode(), took, peak}
}

// must runs a program and expects it to succeed.
func (r *rig) must(program string, args ...string) string {
	r.t.Helper()
	got := r.run("", program, args...)
	if got.code != 0 {
		r.t.Fatalf("%s %s: exit %d, want 0\n%s\n%s", filepath.Base(program), strings.Join(args, " "), got.code, got.stdout, got.stderr)
	}
	return got.stdout
}

// background is a program that runs until the test ends.
func (r *rig) background(program string, args ...string) (log func() string) {
	r.t.Helper()
	name := filepath.Join(r.dir, filepath.Base(program)+"."+args[0]+".log")
	f, err := os.Create(name)
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	cmd := exec.Command(program, args...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = r.env, r.dir, f, f
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	log = func() string {
		b, _ := os.ReadFile(name)
		return string(b)
	}
	r.t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		late := time.AfterFunc(20*time.Second, func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
		cmd.Wait()
		late.Stop()
		if r.t.Failed() {
			r.t.Logf("%s %s said:\n%s", filepath.Base(program), args[0], log())
		}
	})
	return log
}

var address = regexp.MustCompile(`https?://\S+`)

// signIn signs in to a provider; browse plays the browser, on the sign-in page.
func (r *rig) signIn(provider string, browse func(ctx context.Context, url string) error) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, keytray, "login", provider)
	cmd.Env = r.env
	out, err := os.CreateTemp(r.dir, "login")
	if err != nil {
		r.t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	url := ""
	r.eventually("the address of the sign-in page", func() bool {
		b, _ := os.ReadFile(out.Name())
		url = address.FindString(string(b))
		return url != ""
	})
	if err := browse(ctx, url); err != nil {
		r.t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		b, _ := os.ReadFile(out.Name())
		r.t.Fatalf("keytray login: %v\n%s", err, b)
	}
}

// eventually waits until ok answers true.
func (r *rig) eventually(what string, ok func() bool) {
	r.t.Helper()
	late := time.After(4 * time.Minute)
	for !ok() {
		select {
		case <-late:
			r.t.Fatalf("waited in vain: %s", what)
		case <-r.t.Context().Done():
			r.t.Fatal(r.t.Context().Err())
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// in are the files of the test that hold one of the secrets, but for the keyring's.
func (r *rig) in(secrets []string) (files []string) {
	r.t.Helper()
	if len(secrets) == 0 {
		r.t.Error("no secrets to look for")
	}
	err := filepath.WalkDir(r.dir, func(path string, d os.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // a program that ends removes its own
			return nil
		}
		if err != nil || !d.Type().IsRegular() || strings.HasPrefix(path, filepath.Join(r.dir, "session")) {
			return err
		}
		b, err := os.ReadFile(path)
		if slices.ContainsFunc(secrets, func(s string) bool { return bytes.Contains(b, []byte(s)) }) {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		r.t.Error(err)
	}
	return files
}
