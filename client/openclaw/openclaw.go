// Package openclaw knows OpenClaw from outside: which program it is, how it is
// told to ask Keytray for tokens, and what it asks.
//
// OpenClaw's own commands change OpenClaw's files, whose form changes with every
// few versions; this package runs them, each with a limit of time. It reads no
// login, opens no keychain and speaks to no server.
package openclaw

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/keytray/keytray/plain"
)

var (
	// ErrNotFound means that there is no OpenClaw.
	ErrNotFound = errors.New("openclaw is not in PATH")
	// ErrTooOld is an OpenClaw that cannot ask another program for a login.
	ErrTooOld = errors.New("this OpenClaw is too old")
	// ErrNoGateway means that no gateway runs that could be told.
	ErrNoGateway = errors.New("no OpenClaw gateway runs")
	errLate      = errors.New("it did not end in time")
)

// Version is one of OpenClaw's: year, month and a number.
type Version [3]int

// The versions in which something changed that matters here.
var (
	firstRefs     = Version{2026, 3, 7}  // a profile may be nothing but a reference
	firstAllow    = Version{2026, 3, 22} // secrets apply and audit ask for --allow-exec
	firstDatabase = Version{2026, 6, 5}  // profiles lie in SQLite, and ChatGPT's provider is openai
)

var versionText = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\b(20\d\d)\.(\d{1,2})\.(\d{1,4})\b`) })

// ParseVersion finds the version in what `openclaw --version` prints.
func ParseVersion(s string) (v Version, ok bool) {
	m := versionText().FindStringSubmatch(s)
	if m == nil {
		return v, false
	}
	for i := range v {
		v[i], _ = strconv.Atoi(m[i+1]) // digits, and few
	}
	return v, true
}

func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v[0], v[1], v[2]) }

// Before reports whether v is older than w.
func (v Version) Before(w Version) bool { return slices.Compare(v[:], w[:]) < 0 }

// HasDatabase reports whether this version keeps its logins in a database, and
// not in files that Keytray may write.
func (v Version) HasDatabase() bool { return !v.Before(firstDatabase) }

// Provider is what this version calls a provider of Keytray's.
func (v Version) Provider(id string) string {
	if id == "openai-codex" && v.HasDatabase() {
		return "openai"
	}
	return id
}

// Program is one person's OpenClaw, as it was found: a later run, from a tray
// with another environment, has to meet the same one.
type Program struct {
	// Path is absolute. It may be a link, which an update of OpenClaw renews.
	Path string `json:"path"`
	// Beside are the folders that PATH begins with: the program's and that of the
	// node which runs it.
	Beside []string `json:"beside"`
	// Vars are the variables that tell one OpenClaw of a person from another.
	Vars map[string]string `json:"vars,omitempty"`
	// Environ is the rest of what it runs with, as os.Environ has it.
	Environ []string `json:"-"`
}

// variables tell which folder and configuration an OpenClaw works on. None of
// them is a secret.
var variables = []string{"OPENCLAW_STATE_DIR", "OPENCLAW_CONFIG_PATH", "OPENCLAW_HOME", "OPENCLAW_PROFILE"}

// Find returns the OpenClaw that PATH leads to, or the one at path.
func Find(path string, environ []string) (Program, error) {
	if path == "" {
		path = "openclaw"
	}
	found, err := exec.LookPath(path)
	if err != nil {
		return Program{}, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	if found, err = filepath.Abs(found); err != nil {
		return Program{}, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	p := Program{Path: found, Beside: []string{filepath.Dir(found)}, Environ: environ}
	if node, err := exec.LookPath("node"); err == nil && filepath.IsAbs(node) && filepath.Dir(node) != p.Beside[0] {
		p.Beside = append(p.Beside, filepath.Dir(node))
	}
	for _, name := range variables {
		if v := p.getenv(name); v != "" {
			if p.Vars == nil {
				p.Vars = map[string]string{}
			}
			p.Vars[name] = v
		}
	}
	return p, nil
}

func (p Program) getenv(name string) string {
	for _, entry := range slices.Backward(p.Environ) {
		if k, v, ok := strings.Cut(entry, "="); ok && k == name {
			return v
		}
	}
	return ""
}

// Dir is OpenClaw's state folder; home is the person's.
func (p Program) Dir(home string) string {
	if h := p.Vars["OPENCLAW_HOME"]; filepath.IsAbs(h) {
		home = h
	}
	dir := p.Vars["OPENCLAW_STATE_DIR"]
	if rest, ok := strings.CutPrefix(dir, "~"); ok {
		dir = filepath.Join(home, rest)
	}
	if filepath.IsAbs(dir) {
		return filepath.Clean(dir)
	}
	if name := p.Vars["OPENCLAW_PROFILE"]; name != "" && name != "default" {
		return filepath.Join(home, ".openclaw-"+name)
	}
	return filepath.Join(home, ".openclaw")
}

func (p Program) environ() []string {
	env := slices.Clone(p.Environ)
	for _, name := range variables { // another OpenClaw's would lead astray
		env = slices.DeleteFunc(env, func(entry string) bool { return strings.HasPrefix(entry, name+"=") })
		if v, ok := p.Vars[name]; ok {
			env = append(env, name+"="+v)
		}
	}
	path := strings.Join(append(slices.Clone(p.Beside), p.getenv("PATH")), string(filepath.ListSeparator))
	return append(env, "PATH="+path, "NO_COLOR=1")
}

const (
	// patience is generous: node takes seconds to start, and many on a busy machine.
	patience = 3 * time.Minute
	// saidLimit is how much is read of what it says, bytes.
	saidLimit = 1 << 20
)

// FailedError is a run of OpenClaw that did not succeed.
type FailedError struct {
	// Doing is the command, without its arguments.
	Doing string
	// Said is what it complained of, cleaned and cut.
	Said string
	Err  error
}

func (e *FailedError) Error() string {
	if e.Said == "" {
		return fmt.Sprintf("openclaw %s: %s", e.Doing, e.Err)
	}
	return fmt.Sprintf("openclaw %s: %s", e.Doing, e.Said)
}

func (e *FailedError) Unwrap() error { return e.Err }

// run runs OpenClaw and returns its stdout, also beside an error. What it started
// ends with it.
func (p Program) run(ctx context.Context, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errLate)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.Path, args...) //nolint:gosec // the person's own program, pinned
	cmd.Env = p.environ()
	cmd.SysProcAttr = ownGroup()
	cmd.Cancel = func() error { return endGroup(cmd) }
	cmd.WaitDelay = 2 * time.Second
	var out, complaint capped
	cmd.Stdout, cmd.Stderr = &out, &complaint
	err := cmd.Run()
	if err == nil {
		return out.b, nil
	}
	if cause := context.Cause(ctx); cause != nil { // what it said is no reason
		return out.b, &FailedError{Doing: doing(args), Err: cause}
	}
	return out.b, &FailedError{Doing: doing(args), Said: said(out.b, complaint.b), Err: err}
}

// doing is the command without its flags and their values.
func doing(args []string) string {
	if i := slices.IndexFunc(args, func(a string) bool { return strings.HasPrefix(a, "-") }); i > 0 {
		args = args[:i]
	}
	return strings.Join(args, " ")
}

// capped keeps the first bytes that are written to it.
type capped struct{ b []byte }

func (c *capped) Write(p []byte) (int, error) {
	c.b = append(c.b, p[:min(len(p), saidLimit-len(c.b))]...)
	return len(p), nil
}

// Version asks for the program's version, and refuses one that is too old.
func (p Program) Version(ctx context.Context) (Version, error) {
	out, err := p.run(ctx, "--version")
	if err != nil {
		return Version{}, err
	}
	v, ok := ParseVersion(string(out))
	switch {
	case !ok:
		return Version{}, fmt.Errorf("openclaw --version: %q has no version", plain.Line(string(out), 80))
	case v.Before(firstRefs):
		return v, fmt.Errorf("%w: %s, and %s is the first that asks for its tokens", ErrTooOld, v, firstRefs)
	}
	return v, nil
}

// Executable is the name of a program's file here.
func Executable(name string) string {
	if runtime.GOOS == "windows" {
		return name + ".exe"
	}
	return name
}
