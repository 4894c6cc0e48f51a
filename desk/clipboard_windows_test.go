package desk

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/windows"

	"github.com/keytray/keytray/secret"
)

// pasted is the clipboard in a format, as another program sees it: up to n bytes,
// nil where it has none.
func pasted(t *testing.T, format uintptr, n int) []byte {
	t.Helper()
	u := newUser32()
	var ok uintptr
	for range busyTries {
		if ok, _, _ = u.open.Call(0); ok != 0 {
			break
		}
		time.Sleep(busyPause)
	}
	if ok == 0 {
		t.Fatal("the clipboard is busy")
	}
	defer u.shut.Call()
	handle, _, _ := windows.NewLazySystemDLL("user32.dll").NewProc("GetClipboardData").Call(format)
	if handle == 0 {
		return nil
	}
	address, _, err := u.lock.Call(handle)
	if address == 0 {
		t.Fatal(err)
	}
	defer u.unlock.Call(handle)
	b := make([]byte, n)
	if err := windows.ReadProcessMemory(windows.CurrentProcess(), address, &b[0], uintptr(n), nil); err != nil {
		t.Fatal(err)
	}
	return b
}

// copying copies text and waits until it is there; the channel gets the result.
func copying(ctx context.Context, t *testing.T, text string, during time.Duration) <-chan error {
	t.Helper()
	held, result := make(chan struct{}), make(chan error, 1)
	go func() { result <- Desk{}.Copy(ctx, secret.New(text), during, func() { close(held) }) }()
	select {
	case <-held:
	case err := <-result:
		t.Fatalf("Copy = %v before the text was there", err)
	}
	return result
}

func TestWindowsCopyHoldsTheClipboardForAWhile(t *testing.T) {
	text := strings.Repeat("at-ü1", 400)
	result := copying(t.Context(), t, text, 2*time.Second)
	if got, want := pasted(t, unicodeText, len(wide(text))), wide(text); string(got) != string(want) {
		t.Errorf("%d bytes that are not what was copied", len(got))
	}
	u := newUser32()
	for name, want := range map[string]byte{"ExcludeClipboardContentFromMonitorProcessing": 1, "CanIncludeInClipboardHistory": 0, "CanUploadToCloudClipboard": 0} {
		id, err := u.format(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := pasted(t, id, 4); len(got) != 4 || got[0] != want {
			t.Errorf("%s is %v, want %d", name, got, want)
		}
	}
	if err := <-result; err != nil {
		t.Errorf("Copy = %v", err)
	}
	if got := pasted(t, unicodeText, 1); got != nil {
		t.Error("the clipboard still has the text")
	}
}

func TestWindowsCopyLeavesWhatOthersCopied(t *testing.T) {
	result := copying(t.Context(), t, "at-1", time.Second)
	u := newUser32()
	if err := u.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	other := wide("of the person")
	err := u.put(unicodeText, other)
	_, _, _ = u.shut.Call()
	if err := errors.Join(err, <-result); err != nil {
		t.Errorf("Copy = %v", err)
	}
	if got := pasted(t, unicodeText, len(other)); string(got) != string(other) {
		t.Errorf("the clipboard has %q", got)
	}
}

func TestWindowsACancelledCopyClears(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	result := copying(ctx, t, "at-1", time.Minute)
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("Copy = %v, want a cancellation", err)
	}
	if got := pasted(t, unicodeText, 1); got != nil {
		t.Error("the clipboard still has the text")
	}
}

func TestWindowsTerminalRefusesWhatCannotBeQuoted(t *testing.T) {
	for _, word := range []string{"a&b", `a"b`, "%PATH%", "a|b", "", "a^", `ends in \`, "a\nb", "a>b"} {
		if err := (Desk{}).Terminal([]string{"cmd", word}); !errors.Is(err, ErrNoTerminal) {
			t.Errorf("%q: %v, want ErrNoTerminal", word, err)
		}
	}
}
