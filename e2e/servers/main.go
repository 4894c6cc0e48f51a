// Command servers is authorization servers of other people, for the tests of
// folder e2e: the example server of zitadel/oidc, and one that is made of
// ory/fosite, which Hydra is made of too. It is a module of its own because of
// what they bring with them.
//
//	servers zitadel|fosite
//
// A server listens on a free loopback port, prints one line {"issuer":…}, and ends
// when its standard input does, so that it never outlives the test that started
// it. See [ledger] for what else it serves.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// client is the one client of every server: public, with PKCE, on any loopback
// port.
const (
	client   = "rig"
	redirect = "http://127.0.0.1/cb"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "servers:", err)
		os.Exit(1)
	}
}

// build makes a server for an issuer.
type build func(issuer string, l *ledger) (http.Handler, error)

func run(ctx context.Context, args []string) error {
	kinds := map[string]build{"zitadel": zitadel, "fosite": ory}
	if len(args) != 1 || kinds[args[0]] == nil {
		return fmt.Errorf("want zitadel or fosite, not %q", args)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	issuer := "http://" + listener.Addr().String()
	l := &ledger{}
	h, err := kinds[args[0]](issuer, l)
	if err != nil {
		return err
	}
	s := &http.Server{Handler: l.keep(h), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = s.Serve(listener) }() // until the process ends
	if err := json.NewEncoder(os.Stdout).Encode(map[string]string{"issuer": issuer}); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}
