//go:build !windows && !darwin

package desk

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/keytray/keytray/plain"
	"github.com/keytray/keytray/secret"
)

// words are the arguments for one dialog.
type words struct{ title, text, ok, other string }

// toolkit is a program that shows dialogs. It exits with 0 for yes and with 1,
// or kdialog with 2, for no, and prints what was entered.
type toolkit struct {
	program                   string
	ask, confirm, tell, offer func(words) []string
	// second reports whether offer ended with its second button.
	second func(printed string, code int) bool
}

// toolkits are the programs that are known, the better ones first. Zenity and
// its relatives share their options, of which only those are used that its
// versions 3 and 4 have both.
func toolkits() []toolkit {
	var all []toolkit
	for _, program := range []string{"zenity", "matedialog", "qarma"} {
		all = append(all, toolkit{program, zenityAsk, zenityConfirm, zenityTell, zenityOffer, zenitySecond})
	}
	return append(all, toolkit{"kdialog", kdialogAsk, kdialogConfirm, kdialogTell, kdialogOffer, kdialogSecond})
}

func zenityAsk(w words) []string {
	text := strings.ReplaceAll(w.text, "_", "__") // else it underlines a letter
	return []string{"--entry", "--hide-text", "--title=" + w.title, "--text=" + text}
}

func zenityConfirm(w words) []string {
	return []string{"--question", "--no-markup", "--default-cancel", "--title=" + w.title, "--text=" + w.text, "--ok-label=" + w.ok, "--cancel-label=Cancel"}
}

func zenityTell(w words) []string {
	return []string{"--text-info", "--title=" + w.title, "--width=640", "--height=420"}
}

// zenityOffer reads its text, which then can be selected, and is in no list of
// processes. Its second button exits as a no does, and prints its label.
func zenityOffer(w words) []string {
	return []string{"--text-info", "--title=" + w.title, "--width=480", "--height=260", "--ok-label=" + w.ok, "--extra-button=" + w.other, "--cancel-label=Cancel"}
}

func zenitySecond(printed string, code int) bool { return code == 1 && printed != "" }

func kdialogAsk(w words) []string { return []string{"--title=" + w.title, "--password=" + w.text} }

func kdialogConfirm(w words) []string {
	return []string{"--title=" + w.title, "--warningcontinuecancel=" + w.text, "--continue-label=" + w.ok}
}

func kdialogTell(w words) []string {
	return []string{"--title=" + w.title, "--textbox", "-", "640", "420"}
}

func kdialogOffer(w words) []string {
	return []string{"--title=" + w.title, "--yesnocancel=" + w.text, "--yes-label=" + w.ok, "--no-label=" + w.other, "--cancel-label=Cancel"}
}

func kdialogSecond(_ string, code int) bool { return code == 1 }

// Ask shows a dialog with a hidden entry and returns what the person entered, as
// it is. It waits for them; the end of ctx takes the dialog away.
func (d Desk) Ask(ctx context.Context, title, text string) (secret.Text, error) {
	out, _, err := d.show(ctx, words{title: title, text: text}, func(t toolkit) func(words) []string { return t.ask }, "")
	return secret.New(strings.TrimSuffix(out, "\n")), err
}

// Confirm asks a question; ok is what the button says that does it. A nil error
// is a yes.
func (d Desk) Confirm(ctx context.Context, title, text, ok string) error {
	_, _, err := d.show(ctx, words{title: title, text: text, ok: ok}, func(t toolkit) func(words) []string { return t.confirm }, "")
	return err
}

// Tell shows a text of several lines, which the person can select and copy, and
// returns when the window is closed.
func (d Desk) Tell(ctx context.Context, title, text string) error {
	_, _, err := d.show(ctx, words{title: title}, func(t toolkit) func(words) []string { return t.tell }, clean(text, tellLimit))
	if errors.Is(err, ErrDismissed) {
		return nil
	}
	return err
}

// Offer shows a text, which the person can select where the dialog lets them,
// with two buttons besides one that dismisses it, and returns which of them was
// pressed, 0 or 1.
func (d Desk) Offer(ctx context.Context, title, text, first, second string) (int, error) {
	var t toolkit
	out, code, err := d.show(ctx, words{title, text, first, second}, func(x toolkit) func(words) []string {
		t = x
		return x.offer
	}, wrap(clean(text, textLimit)))
	if errors.Is(err, ErrDismissed) && t.second(out, code) {
		return 1, nil
	}
	return 0, err
}

// show runs a dialog program and returns what it printed and its exit code.
func (d Desk) show(ctx context.Context, w words, args func(toolkit) func(words) []string, stdin string) (string, int, error) {
	t, err := d.toolkit(ctx)
	if err != nil {
		return "", 0, err
	}
	w = words{neutral(plain.Line(w.title, titleLimit)), neutral(wrap(clean(w.text, textLimit))), neutral(plain.Line(w.ok, labelLimit)), neutral(plain.Line(w.other, labelLimit))}
	cmd := exec.CommandContext(ctx, t.program, args(t)(w)...) //nolint:gosec // one of ours, with texts that are cleaned
	cmd.Env, cmd.WaitDelay = d.Environ, time.Second
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.Output()
	exit, exited := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil:
		return string(out), 0, nil
	case ctx.Err() != nil:
		return "", 0, context.Cause(ctx)
	case exited && (exit.ExitCode() == 1 || exit.ExitCode() == 2):
		return string(out), exit.ExitCode(), ErrDismissed
	case exited: // what it says may quote the entry
		return "", 0, fmt.Errorf("%w: %s ended with %s", ErrNoDialog, t.program, exit.ProcessState)
	default:
		return "", 0, fmt.Errorf("%w: %w", ErrNoDialog, err)
	}
}

// toolkit finds a program and makes sure that there is a display: without one
// they exit as if the person had said no.
func (d Desk) toolkit(ctx context.Context) (toolkit, error) {
	if err := d.reach(ctx); err != nil {
		return toolkit{}, fmt.Errorf("%w: %w", ErrNoDialog, err)
	}
	all := toolkits()
	if strings.Contains(d.getenv("XDG_CURRENT_DESKTOP"), "KDE") {
		all = append(all[len(all)-1:], all[:len(all)-1]...)
	}
	for _, t := range all {
		if _, err := exec.LookPath(t.program); err == nil {
			return t, nil
		}
	}
	return toolkit{}, fmt.Errorf("%w: neither zenity nor kdialog is installed", ErrNoDialog)
}

// reach connects to the display once.
func (d Desk) reach(ctx context.Context) error {
	if path := d.wayland(); path != "" {
		c, err := new(net.Dialer).DialContext(ctx, "unix", path)
		if err != nil {
			return fmt.Errorf("connecting to the display: %w", err)
		}
		return c.Close()
	}
	c, err := d.connectX()
	if err != nil {
		return err
	}
	c.Close()
	return nil
}

// wayland is the path of the compositor's socket, or "".
func (d Desk) wayland() string {
	name := d.getenv("WAYLAND_DISPLAY")
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(d.getenv("XDG_RUNTIME_DIR"), name)
}

// getenv is os.Getenv on Environ.
func (d Desk) getenv(name string) string {
	for _, entry := range slices.Backward(d.Environ) {
		if k, v, ok := strings.Cut(entry, "="); ok && k == name {
			return v
		}
	}
	return ""
}

// neutral replaces what one toolkit or another reads as markup, as a shortcut or
// as an escape, by what looks alike: they do not agree on how to quote it.
func neutral(s string) string {
	return strings.NewReplacer("<", "‹", ">", "›", "&", "+", `\`, "/").Replace(s)
}

const lineWidth = 72

// wrap breaks lines at spaces, because not all dialogs do.
func wrap(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		length := 0
		for word := range strings.FieldsSeq(line) {
			n := len([]rune(word))
			switch {
			case length > 0 && length+1+n > lineWidth:
				b.WriteByte('\n')
				length = 0
			case length > 0:
				b.WriteByte(' ')
				length++
			}
			b.WriteString(word)
			length += n
		}
		if strings.HasSuffix(line, "\n") {
			b.WriteByte('\n')
		}
	}
	return b.String()
}
