package desk

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"time"
	"unicode/utf16"

	"golang.org/x/sys/windows"

	"github.com/keytray/keytray/secret"
)

// Copy puts text into the clipboard, calls held, and empties the clipboard after
// a while or at the end of ctx, unless another program has changed it by then.
// The text stays should the process die.
//
// The clipboard's history, its copy in the cloud and programs that watch it are
// told to leave the text alone.
func (Desk) Copy(ctx context.Context, text secret.Text, during time.Duration, held func()) error {
	runtime.LockOSThread() // the clipboard is opened by a thread
	defer runtime.UnlockOSThread()
	u := newUser32()
	if err := u.fill(ctx, text); err != nil {
		return fmt.Errorf("%w: %w", ErrNoClipboard, err)
	}
	ours, _, _ := u.sequence.Call()
	held()
	timer := time.NewTimer(during)
	defer timer.Stop()
	var result error
	select {
	case <-timer.C:
	case <-ctx.Done():
		result = context.Cause(ctx)
	}
	if now, _, _ := u.sequence.Call(); now == ours {
		if err := u.clear(context.WithoutCancel(ctx)); err != nil {
			return fmt.Errorf("%w: it still holds the text: %w", ErrNoClipboard, err)
		}
	}
	return result
}

// user32 are the functions of Windows that are needed here.
type user32 struct {
	open, empty, set, shut, register, sequence *windows.LazyProc
	alloc, lock, unlock, free                  *windows.LazyProc
}

func newUser32() user32 {
	u, k := windows.NewLazySystemDLL("user32.dll"), windows.NewLazySystemDLL("kernel32.dll")
	return user32{
		open: u.NewProc("OpenClipboard"), empty: u.NewProc("EmptyClipboard"), set: u.NewProc("SetClipboardData"), shut: u.NewProc("CloseClipboard"),
		register: u.NewProc("RegisterClipboardFormatW"), sequence: u.NewProc("GetClipboardSequenceNumber"),
		alloc: k.NewProc("GlobalAlloc"), lock: k.NewProc("GlobalLock"), unlock: k.NewProc("GlobalUnlock"), free: k.NewProc("GlobalFree"),
	}
}

const (
	unicodeText = 13     // CF_UNICODETEXT
	moveable    = 0x0002 // GMEM_MOVEABLE

	busyPause = 50 * time.Millisecond
	busyTries = 40
)

// fill puts the text into the clipboard, after the marks that tell others to
// leave it alone: they look as soon as something changes.
func (u user32) fill(ctx context.Context, text secret.Text) error {
	if err := u.begin(ctx); err != nil {
		return err
	}
	defer u.shut.Call() //nolint:errcheck // it is ours to close
	for _, m := range []struct {
		format string
		value  uint32
	}{
		{"ExcludeClipboardContentFromMonitorProcessing", 1},
		{"CanIncludeInClipboardHistory", 0},
		{"CanUploadToCloudClipboard", 0},
	} {
		id, err := u.format(m.format)
		if err != nil {
			return err
		}
		if err := u.put(id, binary.LittleEndian.AppendUint32(nil, m.value)); err != nil {
			return err
		}
	}
	return u.put(unicodeText, wide(text.Reveal()))
}

// begin opens the clipboard, which another program may hold for a moment, and
// empties it.
func (u user32) begin(ctx context.Context) error {
	var problem error
	for range busyTries {
		ok, _, err := u.open.Call(0)
		if ok != 0 {
			if ok, _, err := u.empty.Call(); ok == 0 {
				_, _, _ = u.shut.Call()
				return err
			}
			return nil
		}
		problem = err
		select {
		case <-time.After(busyPause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return problem
}

func (u user32) clear(ctx context.Context) error {
	if err := u.begin(ctx); err != nil {
		return err
	}
	_, _, _ = u.shut.Call()
	return nil
}

func (u user32) format(name string) (uintptr, error) {
	handle, err := u.global(wide(name))
	if err != nil {
		return 0, err
	}
	defer u.free.Call(handle) //nolint:errcheck // it is ours to free
	address, _, err := u.lock.Call(handle)
	if address == 0 {
		return 0, err
	}
	id, _, err := u.register.Call(address)
	_, _, _ = u.unlock.Call(handle)
	if id == 0 {
		return 0, err
	}
	return id, nil
}

// put hands data to the clipboard in a format. The memory is the clipboard's
// from then on.
func (u user32) put(format uintptr, data []byte) error {
	handle, err := u.global(data)
	if err != nil {
		return err
	}
	if ok, _, err := u.set.Call(format, handle); ok == 0 {
		_, _, _ = u.free.Call(handle)
		return err
	}
	return nil
}

// global copies data into memory of Windows's own, by its handle. It is written
// as that of another process would be, which needs no unsafe pointer.
func (u user32) global(data []byte) (uintptr, error) {
	handle, _, err := u.alloc.Call(moveable, uintptr(len(data)))
	if handle == 0 {
		return 0, err
	}
	address, _, err := u.lock.Call(handle)
	if address != 0 {
		err = windows.WriteProcessMemory(windows.CurrentProcess(), address, &data[0], uintptr(len(data)), nil)
		_, _, _ = u.unlock.Call(handle)
	}
	if err != nil {
		_, _, _ = u.free.Call(handle)
		return 0, err
	}
	return handle, nil
}

// wide is s in UTF-16 with its end.
func wide(s string) []byte {
	var b []byte
	for _, u := range append(utf16.Encode([]rune(s)), 0) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}
