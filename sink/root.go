package sink

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Root is a state root: the folder that holds profiles' metadata.
type Root struct {
	// Dir is absolute.
	Dir string
	// OpenClaw says that it was found as OpenClaw's.
	OpenClaw bool
	// Notice, if not empty, tells people why another folder than the one they
	// may expect is used.
	Notice string
}

// Places are the folders that a root is chosen from.
type Places struct {
	// Flag and Keytray are what the person said, by flag and KEYTRAY_STATE_DIR.
	Flag, Keytray string
	// OpenClaw is OPENCLAW_STATE_DIR.
	OpenClaw string
	// Home is the person's home folder, State the platform's folder for state.
	Home, State string
}

// FindRoot returns the first that applies of: the flag, $KEYTRAY_STATE_DIR,
// $OPENCLAW_STATE_DIR, ~/.openclaw where it exists, Keytray's own folder.
//
// The two OpenClaw roots pass a gate: OpenClaw from 2026.6.5 on keeps its
// logins in SQLite, and from 2026.8.1 on refuses to start when it finds our
// JSON files. A root with its databases is passed over with a notice. Only
// files are looked at; nothing is run.
func FindRoot(p Places) Root {
	for _, dir := range []string{p.Flag, p.Keytray} {
		if dir != "" {
			return Root{Dir: absolute(dir, p.Home)}
		}
	}
	own := Root{Dir: filepath.Join(p.State, "keytray")}
	claw := absolute(p.OpenClaw, p.Home)
	if p.OpenClaw == "" {
		claw = filepath.Join(p.Home, ".openclaw")
		if fi, err := os.Stat(claw); err != nil || !fi.IsDir() {
			return own
		}
	}
	if usesSQLite(claw) {
		own.Notice = "this OpenClaw keeps its logins in a database and would not start beside ours, so " + claw +
			" is left alone and " + own.Dir + " is used"
		return own
	}
	return Root{Dir: claw, OpenClaw: true}
}

// usesSQLite reports whether dir is the state of an OpenClaw that has left the
// JSON files behind.
func usesSQLite(dir string) bool {
	if fileExists(filepath.Join(dir, "state", "openclaw.sqlite")) {
		return true
	}
	agents, err := os.ReadDir(filepath.Join(dir, "agents"))
	if err != nil {
		return false
	}
	return slices.ContainsFunc(agents, func(a fs.DirEntry) bool {
		return fileExists(filepath.Join(dir, "agents", a.Name(), "agent", "openclaw-agent.sqlite"))
	})
}

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

// resolved is the path under which a root is known to the keychain: without
// links, so that two ways to one folder are one root.
func resolved(dir string) string {
	if r, err := filepath.EvalSymlinks(dir); err == nil {
		return r
	}
	return dir
}

// SameFolder reports whether two paths lead to one folder.
func SameFolder(a, b string) bool { return resolved(a) == resolved(b) }
