package client_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/keytray/keytray/client"
)

func Example() {
	home, err := os.MkdirTemp("", "home")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(home)
	places := client.Places{Home: home, Getenv: func(string) string { return "" }}
	if err := os.Mkdir(filepath.Join(home, ".codex"), 0o700); err != nil {
		panic(err)
	}
	if err := os.WriteFile(filepath.Join(home, ".codex", "auth.json"), []byte(`{"OPENAI_API_KEY": "sk-1"}`), 0o600); err != nil {
		panic(err)
	}
	sources, err := client.Find("codex", places)
	if err != nil {
		panic(err)
	}
	logins, err := sources[0].Logins()
	fmt.Println(logins[0].Provider, logins[0].Kind, logins[0].Access, err)
	// Output: openai api_key [redacted] <nil>
}
