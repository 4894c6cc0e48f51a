//go:build linux

package notify_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/keytray/keytray/notify"
)

func Example() {
	bell := notify.Open(notify.Options{
		App: "Keytray",
		Bus: "unix:path=/nowhere", // what main found in DBUS_SESSION_BUS_ADDRESS
		Acted: func(cause, action string) {
			fmt.Println("pressed:", action, "because of", cause)
		},
	})
	defer bell.Close()
	err := bell.Send(context.Background(), notify.Notice{
		Cause:   "sign-in openai-codex:default",
		Title:   "Sign-in needed",
		Body:    "alice@example.org: the provider ended the login.",
		Actions: []notify.Action{{ID: "login", Label: "Sign in"}, {ID: "later", Label: "Later"}},
	})
	fmt.Println(err)
	fmt.Println("then the menu says it:", errors.Is(err, notify.ErrNoServer))
	// Output:
	// sending a notification: the session bus does not answer
	// then the menu says it: true
}
