package setup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/keytray/keytray/export"
	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/loan"
	"github.com/keytray/keytray/outlet"
	"github.com/keytray/keytray/sink"
)

// Outlets are the files that are kept current.
func (w *World) Outlets() (outlet.List, error) {
	own, err := w.Own()
	if err != nil {
		return outlet.List{}, err
	}
	return outlet.List{Dir: filepath.Join(own, "outlets"), Place: filepath.Join(own, "locks")}, nil
}

// Homes are the private homes of programs that are lent a token.
func (w *World) Homes() (loan.Homes, error) {
	own, err := w.Own()
	if err != nil {
		return loan.Homes{}, err
	}
	return loan.Homes{Dir: filepath.Join(own, "homes"), Place: filepath.Join(own, "locks")}, nil
}

// Sweep takes back what killed runs have left. What cannot be settled now is for
// another time, and for the doctor to tell of.
func (w *World) Sweep(ctx context.Context) {
	homes, err := w.Homes()
	if err == nil {
		_, err = homes.Sweep(ctx)
	}
	if err != nil && ctx.Err() == nil {
		w.Log.Warn("what a killed run left is not settled", "err", OneLine(err))
	}
}

// Fetch brings the newest token for a file that is kept current.
func Fetch(k *keeper.Keeper) outlet.Fetch {
	return func(ctx context.Context, o outlet.Outlet) (outlet.Text, error) {
		spec, ok := export.Find(o.Format)
		if !ok {
			return outlet.Text{}, fmt.Errorf("there is no format %q", o.Format)
		}
		p, err := here(k.Store, o.Login())
		if err != nil {
			return outlet.Text{}, gone(ctx, k, o.Login(), err)
		}
		t, err := k.Token(ctx, p, 0)
		if err != nil {
			return outlet.Text{}, err
		}
		it := Item(k, t)
		it.CrossVendor = o.CrossVendor
		var text bytes.Buffer
		err = spec.Write(&text, it)
		return outlet.Text{Generation: t.Profile.Generation, Bytes: text.Bytes()}, err
	}
}

// here is a login that has not moved to another machine.
func here(store *sink.Store, ref sink.Ref) (sink.Profile, error) {
	p, err := store.Profile(ref)
	if err == nil && p.State == sink.StateMoved {
		err = fmt.Errorf("%s has moved to another machine: %w", ref.ID, sink.ErrUnknownProfile)
	}
	return p, err
}

// gone tells a login that is signed out from one whose profile file lost it.
func gone(ctx context.Context, k *keeper.Keeper, ref sink.Ref, err error) error {
	if !errors.Is(err, sink.ErrUnknownProfile) && !errors.Is(err, sink.ErrMirrorMissing) {
		return err
	}
	refs, indexErr := k.Store.Indexed(ctx)
	switch {
	case indexErr != nil:
		return indexErr
	case slices.Contains(refs, ref):
		return fmt.Errorf("%s: %w", ref.ID, sink.ErrMirrorMissing)
	default:
		return fmt.Errorf("%s: %w", ref.ID, sink.ErrUnknownProfile)
	}
}

// Due are the files that are to be written for the logins of a store, which may be
// one without a keychain.
func (w *World) Due(store *sink.Store) ([]outlet.Outlet, error) {
	list, err := w.Outlets()
	if err != nil || list.Empty() {
		return nil, err
	}
	all, err := list.All(store.Dir())
	return slices.DeleteFunc(all, func(o outlet.Outlet) bool { return !IsDue(list, store, o) }), err
}

// IsDue reports whether a file is to be written. A login that has moved to another
// machine is not known here.
func IsDue(list outlet.List, store *sink.Store, o outlet.Outlet) bool {
	p, err := here(store, o.Login())
	return list.Due(o, p, err == nil, time.Now())
}

// Supply writes the files that are due. What fails is noted, for the status to
// show, and tried again.
func (w *World) Supply(ctx context.Context, k *keeper.Keeper) error {
	due, err := w.Due(k.Store)
	if len(due) == 0 {
		return err
	}
	list, listErr := w.Outlets()
	err = errors.Join(err, listErr)
	still := func(o outlet.Outlet) bool { return IsDue(list, k.Store, o) }
	for _, o := range due {
		if e := list.Write(ctx, o, still, Fetch(k)); e != nil {
			err = errors.Join(err, fmt.Errorf("writing %s: %w", o.Path, e))
		}
	}
	return err
}

const (
	// supplyRest is the least pause after a failure; each file has one of its own.
	supplyRest = 2 * time.Second
	// sweepRest is how often a look is taken at what killed runs left.
	sweepRest = 10 * time.Minute
)

// Supplies keeps files current: those of logins that were renewed by whomever, and
// those that somebody else changed; and takes back, now and then, what killed runs
// left. It is for the process that has the seat. Do writes what is due, here or in a
// child process.
type Supplies struct {
	World *World
	Store *sink.Store
	Do    func(context.Context) error

	flights sync.WaitGroup

	mu     sync.Mutex // guards what follows
	flying bool
	next   time.Time
	// swept is when Sweep was begun last; whoever uses this did so at first.
	swept time.Time
}

// Look has done in the background what is due, if nothing of that is under way.
func (s *Supplies) Look(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(ctx)
	if s.flying || time.Now().Before(s.next) || ctx.Err() != nil {
		return
	}
	if due, err := s.World.Due(s.Store); err != nil || len(due) == 0 {
		if err != nil {
			s.World.Log.Warn("the files to keep current are not all known", "err", OneLine(err))
		}
		return
	}
	s.flying = true
	s.flights.Go(func() {
		err := s.supply(ctx)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.flying = false
		if err != nil && ctx.Err() == nil {
			s.next = time.Now().Add(supplyRest)
			s.World.Log.Warn("a file is not current", "err", OneLine(err))
		}
	})
}

// sweep sweeps in the background, if it is time for that.
func (s *Supplies) sweep(ctx context.Context) {
	now := time.Now()
	if s.swept.IsZero() {
		s.swept = now
	}
	if now.Sub(s.swept) < sweepRest || ctx.Err() != nil {
		return
	}
	s.swept = now
	s.flights.Go(func() { s.World.Sweep(ctx) })
}

// supply does what is due, and once more what became due meanwhile.
func (s *Supplies) supply(ctx context.Context) error {
	for range 2 {
		if err := s.Do(ctx); err != nil || ctx.Err() != nil {
			return err
		}
		if due, err := s.World.Due(s.Store); err != nil || len(due) == 0 {
			return err
		}
	}
	return nil
}

// Wait waits for what is under way, which ends soon after its context.
func (s *Supplies) Wait() { s.flights.Wait() }
