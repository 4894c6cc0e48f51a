package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/keytray/keytray/client/openclaw"
	"github.com/keytray/keytray/cmd/setup"
	"github.com/keytray/keytray/export"
	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/keychain"
	"github.com/keytray/keytray/secret"
	"github.com/keytray/keytray/sink"
	"github.com/keytray/keytray/worker"
)

const (
	// resolveLimit is less than OpenClaw waits before it kills us, lastLook what a
	// last look at the keychain may add.
	resolveLimit = 11 * time.Second
	lastLook     = 2 * time.Second
	// lendLimit is the same for programs that wait for one token: pi for ten seconds.
	lendLimit = 7 * time.Second
	// unlockRest lies between two looks at a locked keychain.
	unlockRest = 300 * time.Millisecond
	// heartbeat is how often OpenClaw is shown that we live.
	heartbeat = time.Second
)

func (a *app) resolveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "resolve",
		Short: "Answer OpenClaw, which asks for tokens on stdin",
		Long: `Answer a request of OpenClaw's exec secret provider, protocol version 1: read
ids from stdin, write tokens to stdout. OpenClaw runs this, with next to no
environment. What cannot be handed out is an error for its id alone. A locked
keychain is waited for, without a dialog.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.resolveRefs(cmd.Context()) },
	}
}

// resolveRefs answers one request.
func (a *app) resolveRefs(ctx context.Context) error {
	ids, err := openclaw.ReadRequest(a.sys.stdin)
	if err != nil {
		return setup.Usage(err, "OpenClaw runs this: `keytray openclaw connect`")
	}
	k, err := a.keeper(false)
	if err != nil {
		return err
	}
	r := a.resolver(k)
	ctx, cancel := context.WithTimeout(ctx, resolveLimit)
	defer cancel()
	if err := export.OpenClaw(a.sys.stdout, r.answer(ctx, ids)); err != nil {
		return err
	}
	a.leaveSupply(r)
	return nil
}

func (a *app) resolver(k *keeper.Keeper) *resolver {
	self := a.sys.self
	if runtime.GOOS == "linux" {
		self = "/proc/self/exe" // an update of the file does no harm
	}
	return &resolver{
		k: k, stderr: a.sys.stderr,
		child: worker.Child{Path: self, Args: []string{"keytray", "__worker", "--state-dir", k.Store.Dir()}},
	}
}

// leaveSupply has a worker write the files that are kept current, where that is
// due: a program waits for us. It has its token, whatever comes of it.
func (a *app) leaveSupply(r *resolver) {
	due, err := a.world.Due(r.k.Store)
	if len(due) > 0 {
		err = r.child.Leave(worker.Request{Do: "sync"})
	}
	if err != nil {
		a.sys.log.Warn("a file is not current", "err", setup.OneLine(err))
	}
}

// resolver looks up tokens for OpenClaw. It may be killed at any time, so that
// renewals are made by a worker in a session of its own, which goes on alone.
type resolver struct {
	k      *keeper.Keeper
	child  worker.Child
	stderr io.Writer
	locked atomic.Bool
}

// answer has an answer to each id soon after ctx ends, and shows that it lives
// meanwhile.
func (r *resolver) answer(ctx context.Context, ids []string) export.Answer {
	done := make(chan export.Answer, 1)
	go func() { done <- r.all(ctx, ids) }() // ends soon after ctx
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		select {
		case a := <-done:
			return a
		case <-beat.C:
			what := "a login is being renewed"
			if r.locked.Load() {
				what = "waiting for the keychain to be unlocked"
			}
			fmt.Fprintf(r.stderr, "keytray: %s\n", what)
		}
	}
}

func (r *resolver) all(ctx context.Context, ids []string) export.Answer {
	a := export.Answer{Values: map[string]secret.Text{}, Errors: map[string]export.Refusal{}}
	stale := map[string]sink.Profile{}
	for _, id := range ids {
		p, t, err := r.ready(ctx, id)
		switch {
		case err == nil:
			a.Values[id] = t
		case errors.Is(err, sink.ErrStale):
			stale[id] = p
		default:
			a.Errors[id] = refusal(err)
		}
	}
	var renewals sync.WaitGroup
	var mu sync.Mutex // guards a
	for id, p := range stale {
		renewals.Go(func() {
			t, err := r.renewed(ctx, p)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				a.Errors[id] = refusal(err)
				return
			}
			a.Values[id] = t.Access
		})
	}
	renewals.Wait()
	return a
}

// ready is the token of an id that needs no renewal. It waits for a locked
// keychain, as long as ctx lasts.
func (r *resolver) ready(ctx context.Context, id string) (sink.Profile, secret.Text, error) {
	for {
		p, t, err := r.look(ctx, id)
		locked := errors.Is(err, keychain.ErrLocked)
		r.locked.Store(locked)
		if !locked {
			return p, t, err
		}
		select {
		case <-ctx.Done():
			return p, t, err
		case <-time.After(unlockRest):
		}
	}
}

func (r *resolver) look(ctx context.Context, id string) (sink.Profile, secret.Text, error) {
	p, err := r.profile(ctx, id)
	if err != nil {
		return p, secret.Text{}, err
	}
	t, err := r.k.Stored(ctx, p)
	if errors.Is(err, sink.ErrStale) && p.Kind != sink.KindOAuth { // nothing is renewed there
		t, err = r.k.Token(ctx, p, 0)
	}
	return p, t.Access, err
}

// profile finds the login of an id in the profile files; one that lost its entry
// there to another program is first restored from the keychain.
func (r *resolver) profile(ctx context.Context, id string) (sink.Profile, error) {
	p, err := r.k.Store.ByRefID(id)
	if !errors.Is(err, sink.ErrUnknownProfile) {
		return p, err
	}
	ref, err := r.k.Store.IndexedByRefID(ctx, id)
	if err != nil {
		return p, err
	}
	if err := r.k.Store.Restore(ctx, ref); err != nil {
		return p, err
	}
	return r.k.Store.Profile(ref)
}

// renewed has the login renewed, and is the new token, or the old one while that
// still works.
func (r *resolver) renewed(ctx context.Context, p sink.Profile) (keeper.Token, error) {
	landed := make(chan error, 1)
	go func() { // or it goes on, and lands in the profile file
		landed <- r.child.Do(ctx, worker.Request{Do: "renew", Agent: p.Agent, Profile: p.ID}, nil, nil)
	}()
	var err error
	select {
	case err = <-landed:
	case <-ctx.Done():
		err = keeper.ErrLater
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastLook) // the old token is better than nothing
	defer cancel()
	if now, e := r.k.Store.Profile(p.Ref); e == nil {
		p = now
	}
	if t, e := r.k.Stored(ctx, p); e == nil {
		return t, nil
	}
	if t, e := r.k.Store.Last(ctx, p); e == nil {
		return keeper.Token{Profile: p, Access: t, Expires: p.Expires}, nil
	}
	if err == nil {
		err = keeper.ErrLater
	}
	return keeper.Token{}, err
}

// refusal says in words of ours why there is no token: OpenClaw may log them, and
// an error names accounts.
func refusal(err error) export.Refusal {
	exit, _ := setup.Explain(err)
	switch {
	case errors.Is(err, sink.ErrUnknownProfile):
		return export.Refusal{Code: "NOT_FOUND", Message: "there is no such login any more"}
	case exit == setup.ExitKeychain:
		return export.Refusal{Code: "LOCKED", Message: "the keychain is locked or absent"}
	case exit == setup.ExitLogin:
		return export.Refusal{Code: "SIGN_IN", Message: "the login needs a new sign-in, see `keytray status`"}
	case exit == setup.ExitLater:
		return export.Refusal{Code: "LATER", Message: "the login cannot be renewed right now"}
	default:
		return export.Refusal{Code: "FAILED", Message: "see `keytray doctor`"}
	}
}
