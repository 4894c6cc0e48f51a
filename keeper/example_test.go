package keeper_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/oauth"
	"github.com/keytray/keytray/oauth/oauthtest"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/sink"
	"github.com/keytray/keytray/sink/sinktest"
)

func Example() {
	folder, err := os.MkdirTemp("", "keeper")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	ctx := context.Background()
	server := oauthtest.New(oauthtest.Options{})
	if err := server.Start(ctx, "127.0.0.1:0"); err != nil {
		panic(err)
	}
	defer server.Close()
	server.SetLifetime(10 * time.Minute)

	k := &keeper.Keeper{
		Store:     sink.Open(filepath.Join(folder, "root"), filepath.Join(folder, "locks"), &sinktest.Keychain{}),
		Client:    &oauth.Client{},
		Providers: provider.Catalog{server.Provider()},
		Log:       slog.New(slog.DiscardHandler),
	}
	p, err := k.Login(ctx, keeper.LoginRequest{
		Agent: sink.DefaultAgent, Provider: "demo",
		Show: func(url string, _ error) error { // opens the person's browser
			go oauthtest.Browser{User: "ada"}.Open(ctx, url)
			return nil
		},
	})
	fmt.Println(p.ID, err)
	fmt.Println(keeper.ConditionOf(p, time.Now()).Word)

	_, err = k.Token(ctx, p, time.Minute)
	fmt.Println(server.Stats().Refreshes, err) // it lives long enough
	_, err = k.Token(ctx, p, time.Hour)
	fmt.Println(err)
	// Output:
	// demo:ada@example.test <nil>
	// ok
	// 0 <nil>
	// tokens of this login do not live that long: it lives 10m0s
}
