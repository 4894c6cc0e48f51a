package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/keytray/keytray/client"
	"github.com/keytray/keytray/oauth"
	"github.com/keytray/keytray/sink"
)

func lookAtFolder(_ context.Context, v *visit) []finding {
	found := []finding{fine("%s", v.k.Store.Dir())}
	if r := cmp.Or(v.root.Passed, &v.root); r.Version != "" {
		found = append(found, fine("OpenClaw %s wrote the configuration of %s last", r.Version, r.Dir))
	}
	if err := v.k.Store.CheckRoot(); err != nil {
		found = append(found, broken(err))
	}
	if v.root.Notice != "" {
		found = append(found, warning("", "%s", v.root.Notice))
	}
	return found
}

func lookAtKeychain(ctx context.Context, v *visit) []finding {
	v.closed = v.a.unlocking(ctx, func() error { return v.k.Store.Probe(ctx) })
	if v.closed != nil {
		return []finding{broken(v.closed)}
	}
	found := []finding{fine("works: 4 KiB written, read back, deleted")}
	if name, inFiles := v.a.world.KeychainName(); inFiles {
		found = append(found, fine("it is %s", name), fine("others can seal logins for it: --recipient %s", v.a.world.Recipient()))
	}
	return found
}

// lookAtOldFolder finds the logins that are still in the folder of an OpenClaw
// that was updated since.
func lookAtOldFolder(ctx context.Context, v *visit) []finding {
	if v.root.Passed == nil {
		return nil
	}
	dir := v.root.Passed.Dir
	if v.closed != nil {
		return []finding{skipped("the keychain cannot be asked which logins are in %s", dir)}
	}
	old := v.k.Store.Beside(*v.root.Passed)
	refs, err := old.Indexed(ctx)
	switch {
	case err != nil:
		return []finding{broken(err)}
	case len(refs) == 0:
		return []finding{fine("no login is left in %s", dir)}
	case !v.fix:
		return []finding{failed(mendable, "%d logins are still in %s", len(refs), dir)}
	}
	moved, err := v.k.Store.MoveFrom(ctx, old)
	var found []finding
	for _, ref := range moved {
		found = append(found, mended("moved %s of agent %s here", ref.ID, ref.Agent))
	}
	if list, e := v.a.world.Outlets(); e == nil && len(moved) > 0 {
		err = errors.Join(err, list.Move(ctx, old.Dir(), v.k.Store.Dir(), moved))
	}
	if err != nil {
		found = append(found, broken(err))
	}
	return found
}

func lookAtPermissions(_ context.Context, v *visit) []finding {
	wrong, tightened := v.k.Store.Inspect(v.fix)
	var found []finding
	for _, path := range tightened {
		found = append(found, mended("nobody else can write %s any more", path))
	}
	for _, err := range wrong {
		found = append(found, broken(err))
	}
	if found == nil {
		found = append(found, fine("folders and files are yours, and nobody else can write them"))
	}
	return found
}

func lookAtLocks(_ context.Context, v *visit) []finding {
	var found []finding
	for _, h := range v.k.Store.Holders() {
		if h.Stopped {
			found = append(found, failed(fmt.Sprintf("kill -CONT %d", h.PID), "process %d holds a login's lock and is stopped", h.PID))
			continue
		}
		found = append(found, fine("process %d is working on a login", h.PID))
	}
	if found == nil {
		found = append(found, fine("no login is locked"))
	}
	return found
}

// account is who is signed in where.
type account struct{ provider, id string }

// lookAtAccounts finds one account that is signed in more than once, also with
// other programs.
func lookAtAccounts(_ context.Context, v *visit) []finding {
	logins := map[account][]string{}
	for p := range v.profiles() {
		if p.Kind == sink.KindOAuth && p.Account.ID != "" {
			a := account{p.Provider, p.Account.ID}
			logins[a] = append(logins[a], fmt.Sprintf("%s of agent %s", p.ID, p.Agent))
		}
	}
	var found []finding
	for _, names := range logins {
		if len(names) > 1 {
			slices.Sort(names)
			found = append(found, warning("if the provider ends one when the other signs in, keep one of them only",
				"one account, several logins: %s", strings.Join(names, ", ")))
		}
	}
	slices.SortFunc(found, func(a, b finding) int { return strings.Compare(a.Message, b.Message) })
	found = append(found, v.elsewhere(logins)...)
	if found == nil {
		found = append(found, fine("no account is signed in twice"))
	}
	return found
}

// elsewhere finds logins of the same accounts that other programs renew. A file
// that cannot be read is for import to complain of.
func (v *visit) elsewhere(logins map[account][]string) (found []finding) {
	places, err := v.a.programs(false)
	if err != nil {
		return nil
	}
	for _, program := range client.Programs() {
		sources, _ := client.Find(program, places)
		for _, s := range sources {
			theirs, _ := s.Logins()
			for _, l := range theirs {
				if ours := logins[account{l.Provider, l.Account}]; len(ours) > 0 && !l.Refresh.Empty() {
					found = append(found, warning("if it is a copy, sign in here anew: two copies sign each other out; else all is well",
						"%s has a login of the account of %s too, in %s", program, ours[0], s.Path))
				}
			}
		}
	}
	return found
}

// clockTolerance is how wrong a clock may be: renewals begin minutes ahead.
const clockTolerance = 30 * time.Second

// lookAtClock compares the clock with the first server that answers.
func lookAtClock(ctx context.Context, v *visit) []finding {
	servers := map[string]bool{}
	for p := range v.profiles() {
		if p.Kind == sink.KindOAuth {
			servers[p.Provider] = true
		}
	}
	why := errors.New("there is no login whose server could tell the time")
	for _, id := range slices.Sorted(maps.Keys(servers)) {
		p, ok := v.k.Providers.Find(id)
		if !ok || p.OAuth == nil {
			continue
		}
		ahead, err := v.k.Client.Skew(ctx, *p.OAuth)
		if err != nil {
			why = err
			continue
		}
		if ahead.Abs() <= clockTolerance {
			return []finding{fine("agrees with the server of %s", id)}
		}
		word := "ahead of"
		if ahead < 0 {
			word = "behind"
		}
		return []finding{warning("set the clock, and let the system keep it", "%s %s the server of %s: tokens seem to end at the wrong time", ahead.Abs().Round(time.Second), word, id)}
	}
	return []finding{skipped("%v", why)}
}

// lookAtPorts tries the ports that a browser must come back to.
func lookAtPorts(ctx context.Context, v *visit) []finding {
	var found []finding
	var free []string
	for _, p := range v.k.Providers {
		if p.OAuth == nil || len(p.OAuth.Redirect.Ports) == 0 {
			continue
		}
		port := fmt.Sprintf("%d (%s)", p.OAuth.Redirect.Ports[0], p.ID)
		err := oauth.CheckPorts(ctx, p.OAuth.Redirect)
		if err != nil {
			found = append(found, warning("end that program before you sign in, or paste the address that the browser ends on", "%s: %v", p.ID, err))
			continue
		}
		free = append(free, port)
	}
	if len(free) > 0 {
		found = append(found, fine("free for a sign-in: %s", strings.Join(free, ", ")))
	}
	return found
}

// residue are the files of an agent in which OpenClaw, or a repair of ours, leaves
// secrets in clear; oldest those of its folder for credentials.
var (
	residue = []string{"auth-profiles.json.*bak", "auth-profiles.json.migrated-*", "auth-profiles.json.damaged-*", "auth.json"}
	oldest  = []string{"oauth.json", "github-copilot.token.json"}
)

// lookAtResidue finds secrets in clear. It names files and opens none but those
// that may be ours.
func lookAtResidue(_ context.Context, v *visit) []finding {
	var found []finding
	left := residueOf(v.root)
	if old := v.root.Passed; old != nil {
		left = append(left, residueOf(*old)...)
	}
	for _, path := range left {
		found = append(found, warning("`keytray import openclaw` moves what still works; then remove the file", "%s may hold secrets in clear", path))
	}
	for _, agent := range v.k.Store.Agents() {
		if ids := v.k.Store.Others(agent); len(ids) > 0 {
			found = append(found, warning("`keytray import openclaw` moves them into the keychain", "the profile file of agent %s holds secrets in clear that another program put there: %s", agent, strings.Join(ids, ", ")))
		}
	}
	if found == nil {
		found = append(found, fine("no secret in clear in the known places"))
	}
	return found
}

// residueOf are the files of a state folder that may hold secrets in clear.
func residueOf(r sink.Root) []string {
	paths := slices.Concat(leftIn(r.Credentials(), oldest), leftIn(r.AgentDir("*"), residue))
	for _, dir := range r.AgentDirs {
		paths = append(paths, leftIn(dir, residue)...)
	}
	slices.Sort(paths) // two agents may have one folder
	return slices.Compact(paths)
}

// leftIn are the files of dir that match a pattern, have something in them and
// are not ours.
func leftIn(dir string, patterns []string) (paths []string) {
	for _, pattern := range patterns {
		some, _ := filepath.Glob(filepath.Join(dir, filepath.FromSlash(pattern))) // a bad pattern is a folder with a bracket in its name
		for _, path := range some {
			if fi, err := os.Stat(path); err == nil && fi.Mode().IsRegular() && fi.Size() > 2 && !isCache(path, fi) {
				paths = append(paths, path)
			}
		}
	}
	return paths
}

// isCache reports whether path is a file of that name which Keytray keeps and in
// which there is no secret.
func isCache(path string, fi os.FileInfo) bool {
	if filepath.Base(path) != "auth.json" || fi.Size() > 16<<20 {
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	var c struct{ Owner string }
	return json.NewDecoder(io.LimitReader(f, 16<<20)).Decode(&c) == nil && c.Owner == "keytray"
}
