package notify

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"

	"git.sr.ht/~jackmordaunt/go-toast/v2/wintoast"
)

// activator is the class that Windows asks this process for when a toast is pressed.
const activator = "{EB9636D4-B362-438D-A778-EB94A334C5B2}"

// Bell shows notices as toasts. There is one in a process: Windows tells the
// last one opened what was pressed. A toast that outlives its process in the
// action center does nothing.
//
// It is compiled and has never run: there was no Windows, and Wine has no toasts.
type Bell struct {
	opts   Options
	toasts chan job
	acted  chan string
	closed chan struct{}
	once   sync.Once
	ears   sync.WaitGroup
}

// job is a toast to show, and where its error goes.
type job struct {
	xml  string
	done chan error
}

// Open returns a bell. It does not block; the app is made known to Windows at the
// first notice, in HKCU\Software\Classes\AppUserModelId, where it stays: an
// icon that moves later is not noticed, and an uninstaller has to clean up.
func Open(opts Options) *Bell {
	b := &Bell{opts: opts, toasts: make(chan job), acted: make(chan string, 64), closed: make(chan struct{})}
	wintoast.SetActivationCallback(func(_, arguments string, _ []wintoast.UserData) {
		select {
		case b.acted <- arguments:
		default:
		}
	})
	b.ears.Go(b.listen)
	go b.show() // ends with Close, and a call that hangs with the process
	return b
}

// Send shows n.
func (b *Bell) Send(ctx context.Context, n Notice) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errSilent)
	defer cancel()
	if b.opts.Acted == nil {
		n.Actions, n.Click = nil, Action{}
	}
	text, err := toastXML(n)
	if err == nil {
		err = b.hand(ctx, job{text, make(chan error, 1)})
	}
	if err != nil {
		return fmt.Errorf("sending a notification: %w", err)
	}
	return nil
}

func (b *Bell) hand(ctx context.Context, j job) error {
	select {
	case b.toasts <- j:
	case <-b.closed:
		return errClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-j.done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// show has a thread of its own: COM remembers which one spoke first.
//
// The library's other way, PowerShell, is not taken: it puts the text into a
// script, where $(…) runs.
func (b *Bell) show() {
	runtime.LockOSThread()
	for {
		select {
		case j := <-b.toasts:
			j.done <- b.push(j.xml)
		case <-b.closed:
			return
		}
	}
}

func (b *Bell) push(text string) error {
	app := wintoast.AppData{AppID: b.opts.App, GUID: activator}
	if filepath.IsAbs(b.opts.Icon) {
		app.IconPath = b.opts.Icon
	}
	if err := wintoast.SetAppData(app); err != nil {
		return err
	}
	return wintoast.Push(app.AppID, text)
}

// Withdraw does nothing: the toasts of the library have no name to go by.
func (*Bell) Withdraw(context.Context, string) {}

// Close ends the bell and waits for Acted. The bubbles stay.
func (b *Bell) Close() {
	b.once.Do(func() { close(b.closed) })
	b.ears.Wait()
}

func (b *Bell) listen() {
	for {
		select {
		case arguments := <-b.acted:
			if cause, action := pressed(arguments); action != "" && b.opts.Acted != nil {
				b.opts.Acted(cause, action)
			}
		case <-b.closed:
			return
		}
	}
}
