//go:build linux

package desk_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keytray/keytray/desk"
	"github.com/keytray/keytray/secret"
)

// toolkits are the programs that are tested, and the environment that makes the
// desk choose each.
var toolkits = []struct{ program, pkg, env string }{
	{"zenity", "zenity", "XDG_CURRENT_DESKTOP=XFCE"},
	{"kdialog", "kdialog", "XDG_CURRENT_DESKTOP=KDE"},
}

const entered = `Tok3n-with_"odd' <b>&amp; \n signs#`

func TestAskReturnsWhatWasTyped(t *testing.T) {
	t.Parallel()
	for _, k := range toolkits {
		t.Run(k.program, func(t *testing.T) {
			t.Parallel()
			find(t, k.pkg, k.program)
			s := newScreen(t)
			got := make(chan error, 1)
			go func() {
				answer, err := s.desk(k.env).Ask(t.Context(), "Add a token", "Paste the <b>token_of</b> a&b\\nc:\nsecond line")
				if err == nil && !answer.Equal(secret.New(entered)) {
					err = errors.New("it is not what was typed")
				}
				got <- err
			}()
			s.answer("Add a token", "text:"+entered, "Return")
			if err := <-got; err != nil {
				t.Errorf("Ask = %v", err)
			}
		})
	}
}

func TestADismissedDialogIsNoAnswer(t *testing.T) {
	t.Parallel()
	for _, k := range toolkits {
		t.Run(k.program, func(t *testing.T) {
			t.Parallel()
			find(t, k.pkg, k.program)
			s := newScreen(t)
			got := make(chan error, 1)
			go func() {
				_, err := s.desk(k.env).Ask(t.Context(), "Add a token", "Paste it:")
				got <- err
			}()
			s.answer("Add a token", "text:half", "Escape")
			if err := <-got; !errors.Is(err, desk.ErrDismissed) {
				t.Errorf("Ask = %v, want ErrDismissed", err)
			}
		})
	}
}

func TestConfirmWantsAYes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		toolkit int
		keys    []string
		want    error
	}{
		{0, []string{"Tab", "space"}, nil}, // from the button that says no to the other
		{0, []string{"Escape"}, desk.ErrDismissed},
		{0, []string{"Return"}, desk.ErrDismissed}, // no is what a careless person says
		{1, []string{"Return"}, nil},               // kdialog has it the other way
		{1, []string{"Escape"}, desk.ErrDismissed},
	} {
		k := toolkits[c.toolkit]
		t.Run(k.program+" "+c.keys[0], func(t *testing.T) {
			t.Parallel()
			find(t, k.pkg, k.program)
			s := newScreen(t)
			got := make(chan error, 1)
			go func() {
				got <- s.desk(k.env).Confirm(t.Context(), "Remove it", "Remove acme:alice_a@example.test?", "Remove")
			}()
			s.answer("Remove it", c.keys...)
			if err := <-got; !errors.Is(err, c.want) {
				t.Errorf("Confirm = %v after %q, want %v", err, c.keys, c.want)
			}
		})
	}
}

// TestOfferTellsItsButtonsApart, and the cross from both.
func TestOfferTellsItsButtonsApart(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		toolkit int
		keys    []string
		want    int
		err     error
	}{
		{0, []string{"Tab", "Tab", "space"}, 0, nil},
		{0, []string{"Tab", "Tab", "Tab", "space"}, 1, nil},
		{0, []string{"Escape"}, 0, desk.ErrDismissed},
		{1, []string{"Return"}, 0, nil},
		{1, []string{"Tab", "space"}, 1, nil},
		{1, []string{"Escape"}, 0, desk.ErrDismissed},
	} {
		k := toolkits[c.toolkit]
		t.Run(k.program+" "+strings.Join(c.keys, " "), func(t *testing.T) {
			t.Parallel()
			find(t, k.pkg, k.program)
			s := newScreen(t)
			type answer struct {
				button int
				err    error
			}
			got := make(chan answer, 1)
			go func() {
				button, err := s.desk(k.env).Offer(t.Context(), "Sign in", "Visit this page and enter the code:\n\nhttps://as.test/device_a\n\nWDJB-MJHT", "Open", "Copy")
				got <- answer{button, err}
			}()
			s.answer("Sign in", c.keys...)
			if a := <-got; a.button != c.want || !errors.Is(a.err, c.err) {
				t.Errorf("Offer = %d, %v after %q, want %d, %v", a.button, a.err, c.keys, c.want, c.err)
			}
		})
	}
}

func TestTellReturnsWhenItIsClosed(t *testing.T) {
	t.Parallel()
	for _, k := range toolkits {
		t.Run(k.program, func(t *testing.T) {
			t.Parallel()
			find(t, k.pkg, k.program)
			s := newScreen(t)
			got := make(chan error, 1)
			go func() {
				got <- s.desk(k.env).Tell(t.Context(), "What is wrong", strings.Repeat("line <i>one</i>\n", 100))
			}()
			s.answer("What is wrong", "Escape")
			if err := <-got; err != nil {
				t.Errorf("Tell = %v", err)
			}
		})
	}
}

// The end of ctx takes the window away, and the program with it.
func TestACancelledDialogLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	for _, k := range toolkits {
		t.Run(k.program, func(t *testing.T) {
			t.Parallel()
			find(t, k.pkg, k.program)
			s := newScreen(t)
			ctx, cancel := context.WithCancel(t.Context())
			got := make(chan error, 1)
			go func() {
				_, err := s.desk(k.env).Ask(ctx, "Add a token", "Paste it:")
				got <- err
			}()
			_, pid := s.await("Add a token")
			args, err := os.ReadFile(filepath.Join("/proc", itoa(pid), "cmdline"))
			if err != nil || !strings.Contains(string(args), k.program) {
				t.Errorf("the window is that of %q, %v", args, err)
			}
			cancel()
			if err := <-got; !errors.Is(err, context.Canceled) {
				t.Errorf("Ask = %v, want a cancellation", err)
			}
			if alive(pid) || len(s.windows("Add a token")) > 0 {
				t.Error("the dialog is still there")
			}
		})
	}
}

// A title and a text come from servers and files; they cannot look like others.
func TestWhatIsSaidIsCleaned(t *testing.T) {
	t.Parallel()
	find(t, "zenity", "zenity")
	s := newScreen(t)
	got := make(chan error, 1)
	go func() {
		_, err := s.desk().Ask(t.Context(), "Add a\x00 \u202etok\nen to <b>"+strings.Repeat("x", 200), "-\u202e\x1b[31m\xff")
		got <- err
	}()
	id, _ := s.await("Add a token to")
	name, err := s.run("xdotool", "getwindowname", id)
	if want := "Add a token to ‹b›" + strings.Repeat("x", 61) + "…\n"; err != nil || name != want {
		t.Errorf("the title is %q, want %q (%v)", name, want, err)
	}
	s.answer("Add a token to", "Escape")
	if err := <-got; !errors.Is(err, desk.ErrDismissed) {
		t.Errorf("Ask = %v", err)
	}
}

func TestWithoutADisplayThereIsNoDialog(t *testing.T) {
	t.Parallel()
	for _, env := range [][]string{
		nil,
		{"DISPLAY="},
		{"DISPLAY=:9999"},
		{"DISPLAY=nonsense"},
		{"WAYLAND_DISPLAY=wayland-9", "XDG_RUNTIME_DIR=" + t.TempDir()},
	} {
		d := desk.Desk{Environ: env}
		if _, err := d.Ask(t.Context(), "Title", "text"); !errors.Is(err, desk.ErrNoDialog) {
			t.Errorf("Ask with %q = %v, want ErrNoDialog", env, err)
		}
		if err := d.Confirm(t.Context(), "Title", "text", "OK"); !errors.Is(err, desk.ErrNoDialog) {
			t.Errorf("Confirm with %q = %v, want ErrNoDialog", env, err)
		}
		if _, err := d.Offer(t.Context(), "Title", "text", "Open", "Copy"); !errors.Is(err, desk.ErrNoDialog) {
			t.Errorf("Offer with %q = %v, want ErrNoDialog", env, err)
		}
		if err := d.Tell(t.Context(), "Title", "text"); !errors.Is(err, desk.ErrNoDialog) {
			t.Errorf("Tell with %q = %v, want ErrNoDialog", env, err)
		}
	}
}

func TestWithoutAProgramThereIsNoDialog(t *testing.T) {
	s := newScreen(t)
	d := s.desk()
	t.Setenv("PATH", t.TempDir())
	if _, err := d.Ask(t.Context(), "Title", "text"); !errors.Is(err, desk.ErrNoDialog) || errors.Is(err, desk.ErrDismissed) {
		t.Errorf("Ask = %v, want ErrNoDialog", err)
	}
}
