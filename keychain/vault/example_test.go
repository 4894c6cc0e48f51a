package vault_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/keytray/keytray/keychain/vault"
	"github.com/keytray/keytray/sealed"
)

func Example() {
	folder, err := os.MkdirTemp("", "vault")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	dir, ctx := filepath.Join(folder, "vault"), context.Background()
	key, err := sealed.NewKey() // kept elsewhere than the vault
	if err != nil {
		panic(err)
	}
	if err := vault.Create(dir, key); err != nil {
		panic(err)
	}
	v := vault.Open(dir, func() (sealed.Key, error) { return key, nil })
	fmt.Println(v.Set(ctx, "greeting", []byte("hello")))
	value, err := v.Get(ctx, "greeting")
	fmt.Printf("%s %v\n", value, err)

	another, _ := sealed.NewKey()
	_, err = vault.Open(dir, func() (sealed.Key, error) { return another, nil }).Get(ctx, "greeting")
	fmt.Println(err != nil)
	// Output:
	// <nil>
	// hello <nil>
	// true
}
