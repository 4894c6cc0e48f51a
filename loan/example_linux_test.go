package loan_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/keytray/keytray/client"
	"github.com/keytray/keytray/loan"
)

// A private home lies beside Codex's real one, has what is in it, and a login only
// while somebody runs.
func Example() {
	home, err := os.MkdirTemp("", "home")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(home)
	if err := os.Mkdir(filepath.Join(home, ".codex"), 0o700); err != nil {
		panic(err)
	}
	if err := os.WriteFile(filepath.Join(home, ".codex", "config.toml"), []byte("model = \"x\"\n"), 0o600); err != nil {
		panic(err)
	}
	codex, err := client.File("codex", client.Places{Home: home, Getenv: func(string) string { return "" }})
	if err != nil {
		panic(err)
	}
	ctx, homes := context.Background(), loan.Homes{Dir: filepath.Join(home, "homes"), Place: filepath.Join(home, "locks")}
	private, err := homes.Open(ctx, "6fd1", codex)
	if err != nil {
		panic(err)
	}
	fmt.Println(private.Write(ctx, func() ([]byte, error) { return []byte(`{"tokens": {}}`), nil }))
	config, err := os.ReadFile(filepath.Join(private.Dir, "config.toml"))
	fmt.Printf("%s %v\n", config, err)

	_, err = private.Close(ctx)
	_, gone := os.Stat(filepath.Join(private.Dir, "auth.json"))
	fmt.Println(err, os.IsNotExist(gone))
	// Output:
	// <nil>
	// model = "x"
	//  <nil>
	// <nil> true
}
