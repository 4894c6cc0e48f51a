package sink_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keytray/keytray/sink"
)

// signIn makes a login of the provider acme.
func (w *world) signIn(agent, id string) sink.Ref {
	w.t.Helper()
	ref := sink.Ref{Agent: agent, ID: id}
	must(w.t, w.open().Update(w.t.Context(), ref, func(tx *sink.Tx) error { return tx.Received(credential(id, time.Hour)) }))
	return ref
}

func (w *world) first() string {
	w.t.Helper()
	x, err := w.open().Resolve(sink.Request{Agent: "main", Name: "acme"})
	must(w.t, err)
	return x.Profile.ID
}

func (w *world) order(agent string) []string {
	w.t.Helper()
	ids, err := w.open().Order(agent, "acme")
	must(w.t, err)
	return ids
}

func (w *world) wantOrder(agent string, want ...string) {
	w.t.Helper()
	if got := w.order(agent); !slices.Equal(got, want) {
		w.t.Errorf("order = %q, want %q", got, want)
	}
}

func (w *world) state() string { return filepath.Join(filepath.Dir(w.mirror()), "auth-state.json") }

func TestTheStoredOrderDecides(t *testing.T) {
	w := newWorld(t)
	for _, id := range []string{"acme:a", "acme:b", "acme:c"} {
		w.signIn("main", id)
	}
	w.wantOrder("main")
	if got := w.first(); got != "acme:a" {
		t.Errorf("without an order %s is first, want acme:a", got)
	}
	must(t, w.open().SetOrder(t.Context(), "main", "acme", "acme:c", "acme:a", "acme:c"))
	w.wantOrder("main", "acme:c", "acme:a")
	if got := w.first(); got != "acme:c" {
		t.Errorf("%s is first, want acme:c", got)
	}
	must(t, w.open().SetOrder(t.Context(), "main", "acme"))
	w.wantOrder("main")
	if strings.Contains(w.files()[w.mirror()], "order") {
		t.Errorf("a cleared order leaves its member:\n%s", w.files()[w.mirror()])
	}
}

func TestOnlyLoginsOfTheProviderCanBeOrdered(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	if err := s.SetOrder(t.Context(), "main", "acme", "acme:a"); !errors.Is(err, sink.ErrUnknownProfile) {
		t.Errorf("without any login: %v, want ErrUnknownProfile", err)
	}
	w.signIn("main", "acme:a")
	w.signIn("work", "acme:w")
	for id, want := range map[string]error{"acme:nobody": sink.ErrUnknownProfile, "acme:w": sink.ErrUnknownProfile} {
		if err := s.SetOrder(t.Context(), "main", "acme", "acme:a", id); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", id, err, want)
		}
	}
	if err := s.SetOrder(t.Context(), "main", "other", "acme:a"); !errors.Is(err, sink.ErrOtherProvider) {
		t.Errorf("another provider: %v, want ErrOtherProvider", err)
	}
	if err := s.SetOrder(t.Context(), "../x", "acme", "acme:a"); !errors.Is(err, sink.ErrAgentName) {
		t.Errorf("a path for an agent: %v, want ErrAgentName", err)
	}
	w.wantOrder("main")
	w.wantOrder("work")
}

// Renewals, sign-ins and sign-outs write the same file.
func TestTheOrderSurvivesOtherWrites(t *testing.T) {
	w := newWorld(t)
	for _, id := range []string{"acme:a", alice.ID} {
		w.signIn("main", id)
	}
	must(t, w.open().SetOrder(t.Context(), "main", "acme", alice.ID, "acme:a"))
	must(t, w.refresh("2"))
	w.wantOrder("main", alice.ID, "acme:a")
	b := w.signIn("main", "acme:b")
	w.wantOrder("main", alice.ID, "acme:a", "acme:b") // one that no order names would never be chosen
	must(t, w.open().Remove(t.Context(), alice, nil))
	w.wantOrder("main", "acme:a", "acme:b")
	must(t, w.open().Remove(t.Context(), b, nil))
	must(t, w.open().Remove(t.Context(), sink.Ref{Agent: "main", ID: "acme:a"}, nil))
	w.wantOrder("main")
}

func TestPutFirst(t *testing.T) {
	w := newWorld(t)
	w.signIn("main", "acme:a")
	w.signIn("main", "acme:b")
	c := w.signIn("main", "acme:c")
	must(t, w.open().PutFirst(t.Context(), c))
	w.wantOrder("main", "acme:c", "acme:a", "acme:b")
	must(t, w.open().PutFirst(t.Context(), sink.Ref{Agent: "main", ID: "acme:b"}))
	w.wantOrder("main", "acme:b", "acme:c", "acme:a")
	if got := w.first(); got != "acme:b" {
		t.Errorf("%s is first, want acme:b", got)
	}
	if err := w.open().PutFirst(t.Context(), sink.Ref{Agent: "main", ID: "acme:nobody"}); !errors.Is(err, sink.ErrUnknownProfile) {
		t.Errorf("PutFirst of nobody = %v, want ErrUnknownProfile", err)
	}
}

// Another program's logins stay in the order: that program reads it too.
func TestPutFirstKeepsForeignLogins(t *testing.T) {
	w := newWorld(t)
	w.writeMirror(`{"profiles": {"acme:theirs": {"type": "oauth", "provider": "acme", "refresh": "theirs"}}}`)
	w.signIn("main", "acme:a")
	must(t, w.open().PutFirst(t.Context(), w.signIn("main", "acme:b")))
	w.wantOrder("main", "acme:b", "acme:a", "acme:theirs")
	must(t, w.open().SetOrder(t.Context(), "main", "acme", "acme:theirs", "acme:a"))
	if got := w.first(); got != "acme:a" {
		t.Errorf("%s is first, want acme:a: the other is not ours to hand out", got)
	}
}

// OpenClaw from 2026.4.7 on reads the order in auth-state.json first.
func TestWhereThereIsAuthStateItHoldsTheOrder(t *testing.T) {
	w := newWorld(t)
	w.signIn("main", "acme:a")
	w.signIn("main", "acme:b")
	must(t, w.open().SetOrder(t.Context(), "main", "acme", "acme:a", "acme:b"))
	must(t, os.WriteFile(w.state(), []byte(`{"version": 1, "x": 1.50, "order": {"Acme": ["acme:b"], "other": ["other:1"]}, "lastGood": {"acme": "acme:b"}}`), 0o600))
	w.wantOrder("main", "acme:b")
	must(t, w.open().PutFirst(t.Context(), sink.Ref{Agent: "main", ID: "acme:a"}))
	w.wantOrder("main", "acme:a", "acme:b")
	if strings.Contains(w.files()[w.mirror()], `"order"`) {
		t.Errorf("the profile file still has an order:\n%s", w.files()[w.mirror()])
	}
	for _, kept := range []string{`1.50`, `"other:1"`, `"lastGood"`} {
		if !strings.Contains(w.files()[w.state()], kept) {
			t.Errorf("%s is gone from\n%s", kept, w.files()[w.state()])
		}
	}
	w.signIn("main", "acme:c")
	w.wantOrder("main", "acme:a", "acme:b", "acme:c")
	must(t, w.open().SetOrder(t.Context(), "main", "acme"))
	w.wantOrder("main")
}

// A damaged auth-state.json concerns the order and not the logins.
func TestADamagedAuthStateStopsNoLogin(t *testing.T) {
	w := newWorld(t)
	w.login(credential("1", time.Hour))
	must(t, os.WriteFile(w.state(), []byte("{"), 0o600))
	must(t, w.refresh("2"))
	w.signIn("main", "acme:b")
	if err := w.open().SetOrder(t.Context(), "main", "acme", "acme:b"); err == nil {
		t.Error("the order was set in a file that cannot be read")
	} else if _, ok := errors.AsType[*sink.MirrorError](err); !ok {
		t.Errorf("SetOrder = %v, want a MirrorError", err)
	}
	if got := w.files()[w.state()]; got != "{" {
		t.Errorf("the damaged file was changed to %q", got)
	}
}

// What others may have written as an order never breaks anything.
func TestOddOrders(t *testing.T) {
	for content, want := range map[string][]string{
		`7`:                                     nil,
		`[]`:                                    nil,
		`{"acme": "acme:a"}`:                    nil,
		`{"acme": []}`:                          nil,
		`{"acme": [7, null, " ", {}]}`:          nil,
		`{" ACME ": [7, " acme:a ", "acme:a"]}`: {"acme:a"},
		`{"acme": [], "Acme": ["acme:a"]}`:      {"acme:a"},
		`{"acme": ["x"], "acme": ["y"]}`:        nil,
	} {
		w := newWorld(t)
		w.writeMirror(`{"profiles": {}, "order": ` + content + `}`)
		if got := w.order("main"); !slices.Equal(got, want) {
			t.Errorf("order %s reads as %q, want %q", content, got, want)
		}
		w.signIn("main", "acme:a")
		must(t, w.open().SetOrder(t.Context(), "main", "acme", "acme:a"))
		w.wantOrder("main", "acme:a")
		var file struct {
			Order map[string][]string `json:"order"`
		}
		must(t, json.Unmarshal([]byte(w.files()[w.mirror()]), &file))
		if len(file.Order) != 1 {
			t.Errorf("order %s becomes %v, want one provider", content, file.Order)
		}
	}
}

// Eight processes each put another login first while its token is renewed:
// nobody's write is lost.
func TestOrderAndRenewalsAtOnce(t *testing.T) {
	w := newWorld(t)
	var refs []sink.Ref
	for _, id := range []string{"acme:1", "acme:2", "acme:3", "acme:4"} {
		refs = append(refs, w.signIn("main", id))
	}
	var all sync.WaitGroup
	for _, ref := range refs {
		all.Go(func() {
			if err := w.open().PutFirst(t.Context(), ref); err != nil {
				t.Error(err)
			}
		})
		all.Go(func() {
			err := w.open().Update(t.Context(), ref, func(tx *sink.Tx) error {
				return errors.Join(tx.Sending(), tx.Received(credential(ref.ID+"+", time.Hour)))
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := w.order("main"); len(got) != len(refs) {
		t.Errorf("order = %q, want all four", got)
	}
	for _, ref := range refs {
		if p, err := w.open().Profile(ref); err != nil || p.Generation != 2 {
			t.Errorf("%s: generation %d (%v), want 2", ref.ID, p.Generation, err)
		}
	}
}
