package main

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/keytray/keytray/disk"
	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/secret"
	"github.com/keytray/keytray/sink"
	"github.com/keytray/keytray/sink/sinktest"
)

// TestAskingEndsNoImport: which and report say that a login is not wholly here yet,
// and leave it to the commands that need its credential, while others are restored.
func TestAskingEndsNoImport(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := sink.Open(filepath.Join(dir, "root"), filepath.Join(dir, "place"), &sinktest.Keychain{})
	asked := 0
	s.Left = func(sink.Origin, sink.Kind) (secret.Text, error) { asked++; return secret.New("r"), nil }
	now := sink.Now()
	c := sink.Credential{Kind: sink.KindOAuth, Provider: "acme", Access: secret.New("a"), Refresh: secret.New("r"), Life: sink.Life{Minted: now, Expires: now.Wall.Add(time.Hour)}}
	whole, half := sink.Ref{Agent: "main", ID: "acme:whole"}, sink.Ref{Agent: "main", ID: "acme:half"}
	if err := s.Update(t.Context(), whole, func(tx *sink.Tx) error { return tx.Received(c) }); err != nil {
		t.Fatal(err)
	}
	if err := disk.Remove(s.MirrorPath("main")); err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() { _ = recover() }()
		_ = s.Import(t.Context(), half, sink.Move{
			From:  sink.Origin{Program: "codex", Path: "/nowhere/auth.json", Name: "tokens"},
			Take:  func(context.Context) (sink.Credential, error) { return c, nil },
			Strip: func() (bool, error) { panic("died") },
		})
	}()
	a, k := &app{agent: "main"}, &keeper.Keeper{Store: s}
	if err := a.restore(t.Context(), k, sink.ErrMirrorMissing); err != nil {
		t.Errorf("restoring: %v", err)
	}
	if _, err := s.Profile(whole); err != nil {
		t.Errorf("the other login: %v", err)
	}
	if err := a.restore(t.Context(), k, sink.ErrUnknownProfile); !errors.Is(err, sink.ErrImporting) {
		t.Errorf("restoring what is not here yet: %v, want ErrImporting", err)
	}
	if refs := s.Importing(); len(refs) != 1 || refs[0] != half || asked > 0 {
		t.Errorf("still being imported: %v, and the file was asked %d times; want %v and not at all", refs, asked, half)
	}
}
