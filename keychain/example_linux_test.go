package keychain_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/keytray/keytray/keychain"
)

// Where there is no Secret Service every call says so at once.
func Example() {
	k := keychain.Open(keychain.Options{Bus: "unix:path=/nonexistent"}) // what main found in DBUS_SESSION_BUS_ADDRESS
	err := k.Set(context.Background(), "greeting", []byte("hello"))
	fmt.Println(errors.Is(err, keychain.ErrUnavailable))
	// Output: true
}
