package sink_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/keytray/keytray/secret"
	"github.com/keytray/keytray/sink"
	"github.com/keytray/keytray/sink/sinktest"
)

// A sign-in, and a renewal as package keeper does it.
func ExampleStore_Update() {
	folder, err := os.MkdirTemp("", "sink")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	ctx, ref := context.Background(), sink.Ref{Agent: sink.DefaultAgent, ID: "acme:ada"}
	store := sink.Open(filepath.Join(folder, "root"), filepath.Join(folder, "locks"), &sinktest.Keychain{})
	got := func(n string) sink.Credential { // what a server answers
		return sink.Credential{
			Kind: sink.KindOAuth, Provider: "acme", Access: secret.New("at" + n), Refresh: secret.New("rt" + n),
			Life: sink.Life{Minted: sink.Now(), Expires: time.Now().Add(time.Hour)},
		}
	}
	err = store.Update(ctx, ref, func(tx *sink.Tx) error { return tx.Received(got("1")) })
	fmt.Println(err)
	err = store.Update(ctx, ref, func(tx *sink.Tx) error {
		if err := tx.Sending(); err != nil { // on the disk before the request leaves
			return err
		}
		return tx.Received(got("2"))
	})
	fmt.Println(err)

	p, err := store.Profile(ref) // from a file that holds no secret
	fmt.Println(p.ID, p.Generation, err)
	token, err := store.Token(ctx, p, time.Minute)
	fmt.Println(token, err)
	// Output:
	// <nil>
	// <nil>
	// acme:ada 2 <nil>
	// [redacted] <nil>
}
