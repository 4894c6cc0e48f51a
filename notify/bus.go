//go:build unix && !darwin

package notify

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"sync"

	"github.com/godbus/dbus/v5"
)

// Bell shows notices over a connection to the session bus that nobody else has:
// systray and go-keyring share one, and take signals on it for their own.
type Bell struct {
	opts   Options
	heard  chan heard
	closed chan struct{}
	ears   sync.WaitGroup

	// turn is held by whoever uses link. It is a channel and no mutex because to
	// wait for it has a limit.
	turn chan struct{}
	link *link
}

// heard is a signal, and the connection that it came on.
type heard struct {
	link   *link
	signal *dbus.Signal
}

// Open returns a bell. It does not block: the desktop is looked for at the first
// notice, and again at the next where it was not there or has gone.
func Open(opts Options) *Bell {
	opts.Bus = busAddress(opts.Bus)
	b := &Bell{opts: opts, heard: make(chan heard, 64), closed: make(chan struct{}), turn: make(chan struct{}, 1)}
	b.ears.Go(b.listen)
	return b
}

// busAddress returns where the session bus is, or "". The empty address would
// make godbus start a bus of its own.
func busAddress(given string) string {
	if given != "" && given != "autolaunch:" {
		return given
	}
	path := "/run/user/" + strconv.Itoa(os.Getuid()) + "/bus"
	if info, err := os.Stat(path); err != nil || info.Mode().Type() != fs.ModeSocket {
		return ""
	}
	return "unix:path=" + path
}

// Send shows n. It returns an [ErrNoServer] where nobody does, after five seconds
// at most; a server that only was slow shows it nevertheless.
func (b *Bell) Send(ctx context.Context, n Notice) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errSilent)
	defer cancel()
	err := b.send(ctx, n)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("sending a notification: %w", err)
	}
	return nil
}

func (b *Bell) send(ctx context.Context, n Notice) error {
	if err := b.take(ctx); err != nil {
		return err
	}
	defer b.release()
	err := b.try(ctx, n)
	if errors.Is(err, errGone) {
		err = b.try(ctx, n)
	}
	return err
}

func (b *Bell) try(ctx context.Context, n Notice) error {
	if b.link == nil {
		if err := b.connect(ctx); err != nil {
			return err
		}
	}
	if err := b.link.findServer(ctx); err != nil {
		b.disconnect() // no bubble is known yet, or a bus that is stuck knows them
		return err
	}
	return b.link.show(ctx, b.opts, n)
}

// Withdraw takes away the bubble of a cause, if it is still there.
func (b *Bell) Withdraw(ctx context.Context, cause string) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if b.take(ctx) != nil {
		return
	}
	defer b.release()
	if b.link != nil {
		b.link.withdraw(ctx, cause)
	}
}

// Close ends the bell and waits for a Send in flight and for Acted. The bubbles
// stay, and their buttons do nothing any more.
func (b *Bell) Close() {
	select {
	case b.turn <- struct{}{}: // for good
		b.disconnect()
		close(b.closed)
	case <-b.closed:
	}
	b.ears.Wait()
}

func (b *Bell) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case b.turn <- struct{}{}:
		return nil
	case <-b.closed:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *Bell) release() { <-b.turn }

func (b *Bell) disconnect() {
	if b.link != nil {
		_ = b.link.conn.Close() // it may have ended long ago
		b.link = nil
	}
}

// connect replaces the connection. A new one knows no bubbles: another bus, or
// the same started anew, gives its names and numbers a second time.
func (b *Bell) connect(ctx context.Context) error {
	b.disconnect()
	if b.opts.Bus == "" {
		return noServerError("there is no session bus")
	}
	l := &link{heard: b.heard, bubbles: map[string]*bubble{}}
	// The connection must not end with this call; but until it is up, it may.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, end)
	conn, err := dbus.Connect(b.opts.Bus, dbus.WithContext(life), dbus.WithSignalHandler(l),
		dbus.WithAuth(dbus.AuthExternal(strconv.Itoa(os.Getuid()))))
	if err == nil {
		err = conn.AddMatchSignalContext(ctx, dbus.WithMatchSender(serverName), dbus.WithMatchInterface(serverName))
	}
	if !stop() || err != nil {
		end() // closes a connection, too
		return noServerError("the session bus does not answer")
	}
	l.conn = conn
	b.link = l
	return nil
}

// listen calls Acted, outside of every lock.
func (b *Bell) listen() {
	for {
		select {
		case h := <-b.heard:
			if cause, action := b.hear(h); action != "" {
				b.opts.Acted(cause, action)
			}
		case <-b.closed:
			return
		}
	}
}

func (b *Bell) hear(h heard) (cause, action string) {
	if b.take(context.Background()) != nil {
		return "", ""
	}
	defer b.release()
	return h.link.hear(h.signal)
}
