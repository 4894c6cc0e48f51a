package main

import (
	"io"
	"log/slog"
	"slices"
	"testing"

	"github.com/keytray/keytray/secret"
	"github.com/keytray/keytray/sink"
	"github.com/keytray/keytray/sink/sinktest"
)

// A new agent gets on request what does not renew itself, and nothing else.
func TestCopyLogins(t *testing.T) {
	home := t.TempDir()
	a := newApp(system{environ: []string{"HOME=" + home, "USERPROFILE=" + home}, stderr: io.Discard, log: slog.New(slog.DiscardHandler)})
	k, err := a.world.Keeper(sink.Root{Dir: home}, &sinktest.Keychain{})
	if err != nil {
		t.Fatal(err)
	}
	for id, kind := range map[string]sink.Kind{"p:login": sink.KindOAuth, "p:token": sink.KindToken, "p:key": sink.KindAPIKey} {
		c := sink.Credential{Kind: kind, Provider: "p", Access: secret.New("access-" + id), Account: sink.Account{ID: id}}
		if kind == sink.KindOAuth {
			c.Refresh = secret.New("refresh")
		}
		if err := k.Store.Update(t.Context(), sink.Ref{Agent: "main", ID: id}, func(tx *sink.Tx) error { return tx.Received(c) }); err != nil {
			t.Fatal(err)
		}
	}
	copied, err := a.copyLogins(t.Context(), k, "main", "work")
	slices.Sort(copied)
	if want := []string{"p:key", "p:token"}; err != nil || !slices.Equal(copied, want) {
		t.Errorf("copied %q (%v), want %q", copied, err, want)
	}
	for p, err := range k.Store.Profiles("work") {
		if err != nil || !slices.Contains(copied, p.ID) {
			t.Errorf("the new agent has %s (%v)", p.ID, err)
			continue
		}
		if token, err := k.Store.Token(t.Context(), p, 0); err != nil || token.Reveal() != "access-"+p.ID {
			t.Errorf("%s: %q, %v", p.ID, token.Reveal(), err)
		}
	}
}
