package sink_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keytray/keytray/machine"
	"github.com/keytray/keytray/sink"
	"github.com/keytray/keytray/sink/sinktest"
)

// elsewhere is a locker on a machine of that name.
type elsewhere struct {
	sink.RealLocker
	host string
}

func (e elsewhere) Self() machine.Process {
	p := e.RealLocker.Self()
	p.Host = e.host
	return p
}

func (w *world) openOn(host string) *sink.Store {
	return sink.OpenOn(w.dir, w.place, w.keychain, sink.Seams{Disk: sink.RealDisk{}, Locker: elsewhere{host: host}, Clock: sink.Now})
}

func TestAnotherMachinesLoginIsNotUsed(t *testing.T) {
	w := newWorld(t)
	receive := func(tx *sink.Tx) error { return tx.Received(credential("1", time.Hour)) }
	must(t, w.openOn("here").Update(t.Context(), alice, receive))
	there := w.openOn("there")
	err := there.Update(t.Context(), alice, func(*sink.Tx) error { t.Error("f ran"); return nil })
	if !errors.Is(err, sink.ErrForeignHost) {
		t.Fatalf("update on another machine = %v, want ErrForeignHost", err)
	}
	if p, err := there.Profile(alice); err != nil || p.State != sink.StateForeignHost {
		t.Errorf("profile = %+v, %v, want foreign_host", p, err)
	}
	must(t, there.Adopt(t.Context(), alice))
	must(t, there.Update(t.Context(), alice, func(tx *sink.Tx) error {
		if c, ok := tx.Current(); !ok || c.Refresh.Reveal() != "refresh-1" || tx.Generation() != 2 {
			t.Errorf("adopted: generation %d, %v", tx.Generation(), ok)
		}
		return nil
	}))
	if p, err := there.Profile(alice); err != nil || p.State != sink.StateOK {
		t.Errorf("profile = %+v, %v, want ok", p, err)
	}
	if err := w.openOn("here").Update(t.Context(), alice, receive); !errors.Is(err, sink.ErrForeignHost) {
		t.Errorf("the first machine = %v, want ErrForeignHost now", err)
	}
	must(t, w.openOn("").Update(t.Context(), alice, func(*sink.Tx) error { return nil })) // cannot tell
}

func TestADamagedMirrorIsSetAsideWhole(t *testing.T) {
	w := newWorld(t)
	w.login(credential("1", time.Hour))
	before := w.files()[w.mirror()]
	w.writeMirror("{broken")
	s := w.open()
	to, err := s.SetAside(t.Context(), "main")
	must(t, err)
	if b, err := os.ReadFile(to); err != nil || string(b) != "{broken" {
		t.Errorf("set aside = %q, %v", b, err)
	}
	must(t, s.Restore(t.Context(), alice))
	if got := w.files()[w.mirror()]; got != before {
		t.Errorf("restored mirror differs:\n%s", got)
	}
	must(t, os.Remove(w.mirror()))
	must(t, os.Symlink(to, w.mirror()))
	if _, err := s.SetAside(t.Context(), "main"); err == nil {
		t.Error("a link was set aside")
	}
}

func TestASignOutIsNoticed(t *testing.T) {
	w := newWorld(t)
	w.login(credential("1", time.Hour))
	s := w.open()
	before := s.Epochs("main")
	must(t, s.Remove(t.Context(), alice, nil))
	must(t, s.Update(t.Context(), alice, func(tx *sink.Tx) error {
		if !tx.SignedOutSince(before) {
			t.Error("the sign-out was not noticed")
		}
		return nil
	}))
	w.login(credential("2", time.Hour))
	after := s.Epochs("main")
	must(t, s.Update(t.Context(), alice, func(tx *sink.Tx) error {
		if tx.SignedOutSince(after) {
			t.Error("a sign-out was noticed that did not happen")
		}
		return nil
	}))
}

// With neither journal nor keychain only a person may end the waiting.
func TestOnlyAPersonAbandonsAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.login(credential("1", time.Hour))
		w.keychain.SetFault(noSlotWrites)
		s := w.open()
		abandon := make(chan struct{})
		told := 0
		s.Stuck = func(ref sink.Ref, err error) <-chan struct{} {
			if told++; ref != alice || !errors.Is(err, sinktest.ErrDown) {
				t.Errorf("stuck with %v: %v", ref, err)
			}
			return abandon
		}
		time.AfterFunc(time.Hour, func() { close(abandon) })
		start := time.Now()
		err := s.Update(t.Context(), alice, func(tx *sink.Tx) error {
			must(t, tx.Sending())
			must(t, os.Remove(strings.TrimSuffix(w.journal(), ".next")+".next"))
			return tx.Received(credential("2", time.Hour))
		})
		if !errors.Is(err, sink.ErrAbandoned) || time.Since(start) < time.Hour || told < 100 {
			t.Errorf("Update = %v after %v, told %d times; want ErrAbandoned after an hour", err, time.Since(start), told)
		}
	})
}
