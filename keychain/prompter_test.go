//go:build linux

package keychain_test

import (
	"errors"
	"testing"

	"github.com/keytray/keytray/keychain"
)

const (
	prompterName   = "org.gnome.keyring.SystemPrompter"
	prompterWindow = "gcr-prompter|Unlock"
)

// TestTheRealPrompter has the real gnome-keyring, which can reach the real
// gcr-prompter on a screen.
func TestTheRealPrompter(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	s := gnome(t)
	prompter := find(t, "gcr", "/usr/libexec/gcr-prompter", "/usr/lib/gcr/gcr-prompter")
	x := newScreen(t)
	x.activate(t, prompterName, prompter)
	prompts := newSpy(t, "type='method_call',interface='org.gnome.keyring.internal.Prompter',member='PerformPrompt'")
	mustSet(t, open(t), "v")

	t.Run("background", func(t *testing.T) {
		if err := s.Lock(t.Context()); err != nil {
			t.Fatal(err)
		}
		service := keychain.Options{Service: "testtherealprompter", Bus: s.Address()}
		k := keychain.Open(service)
		for range 25 {
			_, err := k.Get(t.Context(), "item")
			is(t, err, keychain.ErrLocked)
			is(t, k.Set(t.Context(), "item", []byte("w")), keychain.ErrLocked)
			is(t, k.Set(t.Context(), "another", []byte("w")), keychain.ErrLocked)
			is(t, k.Delete(t.Context(), "item"), keychain.ErrLocked)
		}
		var reached bool
		bus := busConn(t)
		defer bus.Close()
		if err := bus.BusObject().Call("org.freedesktop.DBus.NameHasOwner", 0, prompterName).Store(&reached); err != nil {
			t.Fatal(err)
		}
		if n := prompts.count(); n != 0 || reached || len(x.windows(prompterWindow)) != 0 {
			t.Errorf("%d prompts, prompter running: %v", n, reached)
		}
	})
	for _, answer := range []struct {
		name string
		keys []string
		want error
	}{
		{"dismissed", []string{"Escape"}, keychain.ErrDismissed},
		{"accepted", []string{"text:" + s.Password(), "Return"}, nil},
	} {
		t.Run(answer.name, func(t *testing.T) {
			before := prompts.count()
			k := keychain.Open(keychain.Options{Service: "testtherealprompter", Bus: s.Address(), Prompt: true})
			got := make(chan error, 1)
			go func() {
				_, err := k.Get(t.Context(), "item")
				got <- err
			}()
			x.answer(t, prompterWindow, answer.keys...)
			if err := <-got; !errors.Is(err, answer.want) {
				t.Errorf("Get() = %v, want %v", err, answer.want)
			}
			_, err := k.Get(t.Context(), "item")
			if !errors.Is(err, answer.want) {
				t.Errorf("second Get() = %v, want %v", err, answer.want)
			}
			if n := prompts.count() - before; n != 1 {
				t.Errorf("%d prompts, want 1", n)
			}
		})
	}
}

func TestWithoutAPrompterItIsLockedAndNotDismissed(t *testing.T) {
	s := gnome(t)
	mustSet(t, open(t), "v")
	if err := s.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := asPerson(t).Get(t.Context(), "item")
	is(t, err, keychain.ErrLocked)
	if errors.Is(err, keychain.ErrDismissed) {
		t.Errorf("error %v, and there was no dialog to dismiss", err)
	}
}
