package sink

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/keytray/keytray/disk"
	"github.com/keytray/keytray/route"
)

// Root is a state root: the folder that holds profiles' metadata.
type Root struct {
	// Dir is absolute.
	Dir string
	// OpenClaw says that it is OpenClaw's.
	OpenClaw bool
	// AgentDirs are the folders of those agents whose files are elsewhere than
	// within Dir.
	AgentDirs map[string]string
	// OAuthDir is where OpenClaw's oldest versions kept logins, if that is elsewhere
	// than in Dir's credentials.
	OAuthDir string
	// Version is that of the OpenClaw which wrote the folder's configuration last,
	// empty if nobody knows.
	Version string
	// Passed is OpenClaw's root, if it was passed over; else nil.
	Passed *Root
	// Notice, if not empty, tells people why another folder than the one they
	// may expect is used, and what helps.
	Notice string
}

// AgentDir is the folder of an agent's files, which need not exist.
func (r Root) AgentDir(agent string) string {
	if dir, elsewhere := r.AgentDirs[agent]; elsewhere {
		return dir
	}
	return filepath.Join(r.Dir, "agents", agent, "agent")
}

// Credentials is the folder in which OpenClaw's oldest versions kept logins.
func (r Root) Credentials() string { return cmp.Or(r.OAuthDir, filepath.Join(r.Dir, "credentials")) }

// Places are the folders that a root is chosen from.
type Places struct {
	// Flag and Keytray are what the person said, by flag and KEYTRAY_STATE_DIR.
	Flag, Keytray string
	// Home is the person's home folder, State the platform's folder for state.
	Home, State string
	OpenClaw    OpenClaw
}

// OpenClaw is what that program's variables say of its folders; most are empty.
type OpenClaw struct {
	// StateDir is OPENCLAW_STATE_DIR, Home is OPENCLAW_HOME, Profile is
	// OPENCLAW_PROFILE, AgentDir OPENCLAW_AGENT_DIR and OAuthDir
	// OPENCLAW_OAUTH_DIR.
	StateDir, Home, Profile, AgentDir, OAuthDir string
}

// FindRoot returns the first that applies of: the flag, $KEYTRAY_STATE_DIR,
// $OPENCLAW_STATE_DIR, ~/.openclaw (or that of $OPENCLAW_PROFILE) where it
// exists, Keytray's own folder.
//
// The two OpenClaw roots pass a gate: OpenClaw from 2026.6.5 on keeps its
// logins in SQLite, and from 2026.8.1 on refuses to start when it finds our
// JSON files. A root that has its databases, or a configuration that such a
// version wrote, is passed over with a notice. Only files are looked at; nothing
// is run. What the person named is used as it is, though [Store.CheckRoot] refuses
// to write into one that has a database.
func FindRoot(p Places) Root {
	for _, dir := range []string{p.Flag, p.Keytray} {
		if dir != "" {
			return p.named(absolute(dir, p.Home))
		}
	}
	own := Root{Dir: filepath.Join(p.State, "keytray")}
	r, ok := p.OpenClawRoot()
	if !ok {
		return own
	}
	if usesSQLite(r.Dir, r.AgentDirs) || afterJSON(r.Version) {
		own.Passed, own.Notice = &r, r.passed(own.Dir)
		return own
	}
	return r
}

// named is a root that the person named, which passes no gate. OpenClaw's is known
// as such all the same: the files of its agents may be elsewhere.
func (p Places) named(dir string) Root {
	claw := p.openClawDir()
	if claw != "" && disk.SameFolder(dir, claw) {
		return p.clawRoot(dir)
	}
	if !disk.Exists(filepath.Join(dir, "openclaw.json")) {
		return Root{Dir: dir}
	}
	p.OpenClaw.AgentDir, p.OpenClaw.OAuthDir = "", "" // they are of the other one
	return p.clawRoot(dir)
}

// clawRoot is OpenClaw's state folder dir as a root.
func (p Places) clawRoot(dir string) Root {
	c, _ := readConfig(dir) // one that cannot be read says nothing, and is told of where an order is asked for
	r := Root{Dir: dir, OpenClaw: true, Version: c.Version, AgentDirs: p.agentDirs(dir, c)}
	if p.OpenClaw.OAuthDir != "" {
		r.OAuthDir = absolute(p.OpenClaw.OAuthDir, p.clawHome())
	}
	return r
}

// clawHome is what OpenClaw takes for the home folder.
func (p Places) clawHome() string { return absolute(cmp.Or(p.OpenClaw.Home, p.Home), p.Home) }

// OpenClawRoot is that program's state folder, whether or not its logins are in a
// database; ok is false if there is none.
func (p Places) OpenClawRoot() (r Root, ok bool) {
	dir := p.openClawDir()
	if dir == "" {
		return Root{}, false
	}
	return p.clawRoot(dir), true
}

// openClawDir is empty if there is none.
func (p Places) openClawDir() string {
	home := p.clawHome()
	if p.OpenClaw.StateDir != "" {
		return absolute(p.OpenClaw.StateDir, home)
	}
	dir := filepath.Join(home, ".openclaw")
	if name := p.OpenClaw.Profile; len(name) <= longestName && clawProfile().MatchString(name) && !strings.EqualFold(name, "default") {
		dir += "-" + name
	}
	if fi, err := os.Stat(dir); err != nil || !fi.IsDir() {
		return ""
	}
	return dir
}

// agentDirs are the folders of the agents whose files OpenClaw keeps elsewhere: as
// its openclaw.json says, and for the default agent its variable. Of two agents
// in one folder the first has it.
func (p Places) agentDirs(claw string, c route.Config) map[string]string {
	dirs := map[string]string{}
	taken := map[string]bool{}
	add := func(id, dir string) {
		id, dir = strings.ToLower(strings.TrimSpace(id)), strings.TrimSpace(dir)
		if dir == "" || CheckAgent(id) != nil {
			return
		}
		dir = absolute(dir, p.clawHome())
		if _, again := dirs[id]; again || taken[dir] || dir == filepath.Join(claw, "agents", id, "agent") {
			return
		}
		dirs[id], taken[dir] = dir, true
	}
	add(DefaultAgent, p.OpenClaw.AgentDir)
	for _, a := range c.Agents {
		add(a.ID, a.Dir)
	}
	return dirs
}

// clawProfile is a name that OpenClaw takes for a profile.
var clawProfile = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*$`) })

// passed says why OpenClaw's folder is not used, and what helps: logins that are
// still in there must be moved, else the program may be connected.
func (r Root) passed(own string) string {
	why := "this OpenClaw keeps its logins in a database and would not start beside ours, so " + r.Dir +
		" is left alone and " + own + " is used; "
	s := Open(r.Dir, "", nil)
	s.AgentDirs = r.AgentDirs
	if _, ok := s.mirroredRoot(); ok {
		return why + "`keytray doctor --fix` moves the logins that are still there"
	}
	return why + "`keytray openclaw connect` lets it have tokens from here"
}

// lastJSON is the last OpenClaw that keeps its logins in JSON files.
var lastJSON = []int{2026, 6, 1}

// afterJSON reports whether a version is later than that.
func afterJSON(version string) bool {
	parts := clawVersion().FindStringSubmatch(version)
	if parts == nil {
		return false
	}
	var v []int
	for _, p := range parts[1:] {
		n, _ := strconv.Atoi(p) // digits only, and few
		v = append(v, n)
	}
	return slices.Compare(v, lastJSON) > 0
}

var clawVersion = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(\d{4})\.(\d{1,4})\.(\d{1,4})(?:\D|$)`) })

// ErrDatabase means that a root is that of an OpenClaw which keeps its logins in a
// database. Our files would keep it from starting, so none is written.
var ErrDatabase = errors.New("the OpenClaw there keeps its logins in a database and would not start beside Keytray's files")

// CheckRoot reports whether our files may be written into the root; ErrDatabase if
// not. An OpenClaw can be updated at any moment, so it looks anew each time.
func (s *Store) CheckRoot() error {
	if usesSQLite(s.dir, s.AgentDirs) {
		return fmt.Errorf("%s: %w", s.dir, ErrDatabase)
	}
	return nil
}

// usesSQLite reports whether dir is the state of an OpenClaw that has left the
// JSON files behind; elsewhere are folders of its agents that are not within dir.
func usesSQLite(dir string, elsewhere map[string]string) bool {
	if disk.Exists(filepath.Join(dir, "state", "openclaw.sqlite")) {
		return true
	}
	for _, agent := range elsewhere {
		if disk.Exists(filepath.Join(agent, agentDatabase)) {
			return true
		}
	}
	agents, err := os.ReadDir(filepath.Join(dir, "agents"))
	if err != nil {
		return false
	}
	return slices.ContainsFunc(agents, func(a fs.DirEntry) bool {
		return disk.Exists(filepath.Join(dir, "agents", a.Name(), "agent", agentDatabase))
	})
}

// agentDatabase is where OpenClaw from 2026.6.5 on keeps an agent's logins.
const agentDatabase = "openclaw-agent.sqlite"

// absolute expands a leading ~ and makes dir absolute and clean.
func absolute(dir, home string) string {
	if dir == "~" || (len(dir) > 1 && dir[0] == '~' && os.IsPathSeparator(dir[1])) {
		dir = filepath.Join(home, dir[1:])
	}
	if a, err := filepath.Abs(dir); err == nil {
		return a
	}
	return filepath.Clean(dir)
}
