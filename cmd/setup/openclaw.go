package setup

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/keytray/keytray/client/openclaw"
	"github.com/keytray/keytray/sink"
)

// Data is the platform's folder for a person's programs and data, whatever the
// XDG variables say: what OpenClaw is told must not move.
func (w *World) Data() (string, error) {
	home, err := w.Home()
	if err != nil {
		return "", err
	}
	if runtime.GOOS == "darwin" || runtime.GOOS == "windows" {
		return w.fixedStateHome(home), nil
	}
	return filepath.Join(home, ".local", "share"), nil
}

// LinkFolder is where the connections to OpenClaw lie.
func (w *World) LinkFolder() (string, error) {
	own, err := w.Own()
	if err != nil {
		return "", err
	}
	return filepath.Join(own, "openclaw"), nil
}

// Links are the connections that serve the logins of a state folder.
func (w *World) Links(root string) ([]openclaw.Link, error) {
	folder, err := w.LinkFolder()
	if err != nil {
		return nil, err
	}
	all, err := openclaw.Links(folder)
	var ours []openclaw.Link
	for _, l := range all {
		if l.Root == root {
			l.Program.Environ = w.Environ
			ours = append(ours, l)
		}
	}
	return ours, err
}

const (
	// reloadRest is the pause after a reload that failed; it doubles up to
	// reloadRestMax.
	reloadRest    = time.Minute
	reloadRestMax = time.Hour
	// copyRest is the pause after a resolver that could not be renewed.
	copyRest = 10 * time.Minute
)

// Reloads tells the gateways of connected OpenClaws that a login was renewed:
// they keep what they have read. It is for the process that has the seat, so that
// one does it.
type Reloads struct {
	World *World
	Store *sink.Store

	flights sync.WaitGroup

	mu     sync.Mutex // guards what follows
	flying bool
	failed int
	next   time.Time

	// program is what the resolver was last compared with, nextCopy when that may be
	// tried again. Only a flight looks at them.
	program  os.FileInfo
	nextCopy time.Time
}

// Look has done in the background what is owed, if nothing of that is under way.
// Nobody but the log is told of a failure: it is tried again.
func (r *Reloads) Look(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.flying || time.Now().Before(r.next) || ctx.Err() != nil {
		return
	}
	r.flying = true
	r.flights.Go(func() {
		err := r.reload(ctx)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.flying = false
		switch {
		case err == nil:
			r.failed = 0
		case ctx.Err() == nil:
			r.next = time.Now().Add(min(reloadRest<<min(r.failed, 6), reloadRestMax))
			r.failed++
			r.World.Log.Warn("an OpenClaw gateway may not know of a renewed login yet", "err", OneLine(err))
		}
	})
}

// Wait waits for what is under way, which ends soon after its context.
func (r *Reloads) Wait() { r.flights.Wait() }

func (r *Reloads) reload(ctx context.Context) error {
	links, err := r.World.Links(r.Store.Dir())
	if len(links) > 0 && !time.Now().Before(r.nextCopy) {
		if err := r.followProgram(); err != nil { // which keeps no gateway from what it is owed
			r.nextCopy = time.Now().Add(copyRest)
			r.World.Log.Warn("OpenClaw may run another version than this", "err", OneLine(err))
		}
	}
	for _, l := range links {
		now := l.Current(r.Store)
		if !l.Owed(now) {
			continue
		}
		err = errors.Join(err, Reload(ctx, l, now))
	}
	return err
}

// followProgram gives OpenClaw the version that is installed, at first and whenever
// another one was installed in its place: the one that runs need not be started anew
// for that. Whoever has two versions gets that of whoever keeps the tokens fresh.
func (r *Reloads) followProgram() error {
	path := r.World.command()
	if !filepath.IsAbs(path) {
		return nil
	}
	now, err := os.Stat(path)
	if err != nil {
		return nil //nolint:nilerr // it is being removed or replaced, and the copy goes on
	}
	if r.program != nil && os.SameFile(r.program, now) && r.program.ModTime().Equal(now.ModTime()) {
		return nil
	}
	data, err := r.World.Data()
	if err != nil {
		return err
	}
	if _, err := openclaw.Install(path, data); err != nil {
		return err
	}
	r.program = now
	return nil
}

// Reload tells the gateway of a connection, if one runs. Now are the generations
// of the logins before that. A gateway that reads our file looks at it again by
// itself, as 2026.5 does, and may not let us in.
func Reload(ctx context.Context, l openclaw.Link, now openclaw.Generations) error {
	err := l.Program.Reload(ctx)
	if err != nil && !l.Shared() && !errors.Is(err, openclaw.ErrNoGateway) { // one that starts later asks anew
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return l.Serve(now)
}
