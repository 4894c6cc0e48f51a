package sink_test

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/keytray/keytray/sink"
)

func TestAnIDLeadsToItsLogin(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	if _, err := s.IndexedByRefID(t.Context(), "p/0123456789abcdef"); !errors.Is(err, sink.ErrUnknownProfile) {
		t.Errorf("a root that was never used knows an id: %v", err)
	}
	for _, ref := range []sink.Ref{w.signIn("main", "acme:a"), w.signIn("work", "acme:a"), w.signIn("main", "acme:b")} {
		p, err := s.Profile(ref)
		must(t, err)
		if !regexp.MustCompile(`^p/[0-9a-f]{16}$`).MatchString(p.RefID()) {
			t.Errorf("%v has the id %q", ref, p.RefID())
		}
		got, err := s.ByRefID(p.RefID())
		if err != nil || got.Ref != ref {
			t.Errorf("ByRefID = %v, %v; want %v", got.Ref, err, ref)
		}
		indexed, err := s.IndexedByRefID(t.Context(), p.RefID())
		if err != nil || indexed != ref {
			t.Errorf("IndexedByRefID = %v, %v; want %v", indexed, err, ref)
		}
	}
	// The index of a root may be longer than a folder of profile files is whole.
	p, err := s.Profile(sink.Ref{Agent: "main", ID: "acme:b"})
	must(t, err)
	must(t, os.WriteFile(filepath.Join(w.dir, "agents", "main", "agent", "auth-profiles.json"), []byte("{"), 0o600))
	if got, err := s.ByRefID(p.RefID()); !errors.Is(err, sink.ErrUnknownProfile) {
		t.Errorf("ByRefID in a damaged file = %v, %v; want ErrUnknownProfile", got.Ref, err)
	}
	if got, err := s.IndexedByRefID(t.Context(), p.RefID()); err != nil || got != p.Ref {
		t.Errorf("IndexedByRefID without a file = %v, %v", got, err)
	}
	for _, id := range []string{"", "p/", "p/0123456789abcdef", p.RefID() + "0", p.RefID()[:17], p.RefID()[2:], "p/" + p.RefID()[2:17] + "*"} {
		if got, err := s.ByRefID(id); !errors.Is(err, sink.ErrUnknownProfile) {
			t.Errorf("ByRefID(%q) = %v, %v", id, got.Ref, err)
		}
		if got, err := s.IndexedByRefID(t.Context(), id); !errors.Is(err, sink.ErrUnknownProfile) {
			t.Errorf("IndexedByRefID(%q) = %v, %v", id, got, err)
		}
	}
}
