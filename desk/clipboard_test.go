//go:build linux

package desk_test

import (
	"context"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keytray/keytray/desk"
	"github.com/keytray/keytray/secret"
)

// copying copies text and waits until it is there; the channel gets the result.
func copying(ctx context.Context, t *testing.T, d desk.Desk, text string, during time.Duration) <-chan error {
	t.Helper()
	held, result := make(chan struct{}), make(chan error, 1)
	go func() { result <- d.Copy(ctx, secret.New(text), during, func() { close(held) }) }()
	select {
	case <-held:
	case err := <-result:
		t.Fatalf("Copy = %v before the text was there", err)
	}
	return result
}

// pasted is the clipboard in a format, as another program sees it.
func (s *screen) pasted(target string) string {
	out, err := s.run("xclip", "-o", "-selection", "clipboard", "-target", target)
	if err != nil {
		return "nothing"
	}
	return out
}

func TestCopyHoldsTheClipboardForAWhile(t *testing.T) {
	t.Parallel()
	find(t, "xclip", "xclip")
	s := newScreen(t)
	text := "at-" + strings.Repeat("0123456789", 800) + "-ü"
	begun := time.Now()
	result := copying(t.Context(), t, s.desk(), text, time.Second)
	for _, target := range []string{"UTF8_STRING", "STRING", "TEXT", "text/plain", "text/plain;charset=utf-8"} {
		if got := s.pasted(target); got != text {
			t.Errorf("%s: %d bytes that are not what was copied", target, len(got))
		}
	}
	if got := s.pasted("x-kde-passwordManagerHint"); got != "secret" {
		t.Errorf("the hint for clipboard managers is %q", got)
	}
	if got := s.pasted("image/png"); got != "nothing" {
		t.Errorf("a picture: %q", got)
	}
	targets := strings.Fields(s.pasted("TARGETS"))
	for _, want := range []string{"TARGETS", "TIMESTAMP", "UTF8_STRING", "STRING", "x-kde-passwordManagerHint"} {
		if !slices.Contains(targets, want) {
			t.Errorf("the formats are %q, without %s", targets, want)
		}
	}
	if err := <-result; err != nil || time.Since(begun) < time.Second {
		t.Errorf("Copy = %v after %v", err, time.Since(begun))
	}
	if got := s.pasted("UTF8_STRING"); got != "nothing" {
		t.Errorf("the clipboard still has %d bytes", len(got))
	}
}

// What a person copies in the meantime is theirs.
func TestCopyLeavesWhatOthersCopied(t *testing.T) {
	t.Parallel()
	find(t, "xclip", "xclip")
	s := newScreen(t)
	result := copying(t.Context(), t, s.desk(), "at-1", time.Minute)
	other := exec.Command("xclip", "-i", "-selection", "clipboard") // stays in the background
	other.Env, other.Stdin = s.environ(), strings.NewReader("of the person")
	if err := other.Run(); err != nil {
		t.Fatal(err)
	}
	if err := <-result; err != nil {
		t.Errorf("Copy = %v", err)
	}
	if got := s.pasted("UTF8_STRING"); got != "of the person" {
		t.Errorf("the clipboard has %q", got)
	}
}

func TestACancelledCopyClears(t *testing.T) {
	t.Parallel()
	find(t, "xclip", "xclip")
	s := newScreen(t)
	ctx, cancel := context.WithCancel(t.Context())
	result := copying(ctx, t, s.desk(), "at-1", time.Minute)
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("Copy = %v, want a cancellation", err)
	}
	if got := s.pasted("UTF8_STRING"); got != "nothing" {
		t.Errorf("the clipboard has %q", got)
	}
}

func TestWithoutADisplayThereIsNoClipboard(t *testing.T) {
	t.Parallel()
	for _, env := range [][]string{nil, {"DISPLAY=:9999"}, {"DISPLAY=nonsense"}} {
		err := desk.Desk{Environ: env}.Copy(t.Context(), secret.New("at-1"), time.Minute, func() { t.Error("held") })
		if !errors.Is(err, desk.ErrNoClipboard) {
			t.Errorf("Copy with %q = %v, want ErrNoClipboard", env, err)
		}
	}
	s := newScreen(t)
	if err := s.desk("DISPLAY="+s.display+".7").Copy(t.Context(), secret.New("at-1"), time.Minute, func() {}); !errors.Is(err, desk.ErrNoClipboard) {
		t.Errorf("Copy to a screen that is not there = %v", err)
	}
	if err := s.desk().Copy(t.Context(), secret.New(strings.Repeat("x", 1<<20)), time.Minute, func() {}); !errors.Is(err, desk.ErrNoClipboard) {
		t.Errorf("Copy of a book = %v", err)
	}
}
