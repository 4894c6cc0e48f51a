package setup

import (
	"context"

	"golang.org/x/sys/windows"
)

// Resident gives a context that ends with ctx, or with [ErrReplaced] once the
// installer asks those who stay to make room: it sets the event of that name, and
// waits until the event is gone, as it is with the last process that has it. A
// signal would reach whoever else has the same console.
//
// Where the system gives no event nobody is asked, and the installer moves the
// running program's file aside. packaging/windows/keytray.nsi has the other side.
func Resident(ctx context.Context, name string) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	if event := leave(name); event != 0 {
		go func() { // for as long as the process lives, and so does the event
			if s, err := windows.WaitForSingleObject(event, windows.INFINITE); err == nil && s == windows.WAIT_OBJECT_0 {
				cancel(ErrReplaced)
			}
		}()
	}
	return ctx, func() { cancel(nil) }
}

// leave is the event that all have who stay in this session under that name, or 0.
func leave(name string) windows.Handle {
	text, err := windows.UTF16PtrFromString(`Local\io.github.keytray.leave.` + name)
	if err != nil {
		return 0
	}
	event, _ := windows.CreateEvent(nil, 1, 0, text) // with an error that says it was there before
	return event
}
