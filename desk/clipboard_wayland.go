//go:build !windows && !darwin

package desk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/keytray/keytray/secret"
)

// errNoDataControl is a compositor that lets no program without a window have
// the clipboard, as GNOME's; programs of X have it there.
var errNoDataControl = errors.New("the compositor has no data-control protocol")

// hint is the format by which clipboard managers know a secret.
const hint = "x-kde-passwordManagerHint"

// The objects of our connection, in the order in which they are made, and the
// requests and events that are used (wayland.xml, ext-data-control-v1.xml).
const (
	waylandDisplay  = iota + 1 // requests sync, get_registry; event error
	waylandRegistry            // request bind; event global
	waylandFirst               // event done: all globals were told
	waylandSeat
	waylandManager // requests create_data_source, get_data_device
	waylandSource  // request offer; events send, cancelled
	waylandDevice  // request set_selection
	waylandSecond  // event done: the selection is ours
)

// copyWayland owns the clipboard of a Wayland desktop without showing a window.
// The wl-copy program would leave the text in a file in /tmp. The selection ends
// with our connection.
func (d Desk) copyWayland(ctx context.Context, text secret.Text, during time.Duration, held func()) error {
	if len(text.Reveal()) > selectionLimit {
		return errors.New("the text is too long for it")
	}
	dialed, err := new(net.Dialer).DialContext(ctx, "unix", d.wayland())
	if err != nil {
		return fmt.Errorf("connecting to the display: %w", err)
	}
	w := &waylandConn{conn: dialed.(*net.UnixConn), text: text}
	defer w.conn.Close()
	events := make(chan waylandEvent)
	gone := make(chan struct{})
	defer close(gone)
	go w.receive(events, gone) // ends with the connection
	w.request(waylandDisplay, 1, word(waylandRegistry))
	w.request(waylandDisplay, 0, word(waylandFirst))
	end := time.NewTimer(during)
	defer end.Stop()
	for {
		select {
		case e, ok := <-events:
			if !ok {
				return errGone
			}
			over, err := w.follow(e, held)
			if over || err != nil {
				return err
			}
		case <-end.C:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

type waylandConn struct {
	conn *net.UnixConn
	text secret.Text

	// seat, and manager with its version of the protocol, are names of globals.
	seat, manager []byte
}

// follow does what an event wants. Over means that somebody else has the
// clipboard.
func (w *waylandConn) follow(e waylandEvent, held func()) (over bool, err error) {
	switch {
	case e.object == waylandDisplay && e.opcode == 0:
		return false, errors.New("the compositor refused it")
	case e.object == waylandRegistry && e.opcode == 0:
		w.note(e.body)
	case e.object == waylandFirst:
		return false, w.own()
	case e.object == waylandSecond:
		held()
	case e.object == waylandSource && e.opcode == 0:
		w.send(e)
	case e.object == waylandSource && e.opcode == 1:
		return true, nil
	}
	return false, nil
}

// note keeps a global that is needed.
func (w *waylandConn) note(body []byte) {
	if len(body) < 4 {
		return
	}
	name, ok := cutString(body[4:])
	if !ok {
		return
	}
	bind := slices.Concat(body[:4], str(name), word(1))
	switch name {
	case "wl_seat":
		w.seat = bind
	case "ext_data_control_manager_v1", "zwlr_data_control_manager_v1": // which differ in name only
		w.manager = bind
	}
}

// own takes the clipboard.
func (w *waylandConn) own() error {
	if w.seat == nil || w.manager == nil {
		return errNoDataControl
	}
	w.request(waylandRegistry, 0, w.seat, word(waylandSeat))
	w.request(waylandRegistry, 0, w.manager, word(waylandManager))
	w.request(waylandManager, 0, word(waylandSource))
	w.request(waylandManager, 1, word(waylandDevice), word(waylandSeat))
	for _, format := range []string{"text/plain;charset=utf-8", "text/plain", "UTF8_STRING", "STRING", "TEXT", hint} {
		w.request(waylandSource, 0, str(format))
	}
	w.request(waylandDevice, 0, word(waylandSource))
	w.request(waylandDisplay, 0, word(waylandSecond))
	return nil
}

// request sends one. That the connection has ended shows in its events.
func (w *waylandConn) request(object uint32, opcode uint16, args ...[]byte) {
	body := slices.Concat(args...)
	head := word(uint32(8+len(body))<<16 | uint32(opcode)) //nolint:gosec // a few words
	_, _ = w.conn.Write(slices.Concat(word(object), head, body))
}

// send gives the text to a program that wants it, or the hint, and does not wait
// for one that does not read.
func (w *waylandConn) send(e waylandEvent) {
	if e.file == nil {
		return
	}
	defer e.file.Close()
	_ = e.file.SetWriteDeadline(time.Now().Add(time.Second))
	if format, _ := cutString(e.body); format == hint {
		_, _ = e.file.WriteString("secret")
		return
	}
	_, _ = e.file.WriteString(w.text.Reveal())
}

// waylandEvent is a message of the compositor; file comes with a send.
type waylandEvent struct {
	object uint32
	opcode uint16
	body   []byte
	file   *os.File
}

// receive hands on events until the connection ends.
func (w *waylandConn) receive(to chan<- waylandEvent, gone <-chan struct{}) {
	defer close(to)
	var data []byte
	var files []*os.File
	defer func() {
		for _, f := range files {
			_ = f.Close()
		}
	}()
	b, control := make([]byte, 4096), make([]byte, 1024)
	for {
		n, c, _, _, err := w.conn.ReadMsgUnix(b, control)
		if err != nil || n == 0 {
			return
		}
		data = append(data, b[:n]...)
		files = append(files, received(control[:c])...)
		for {
			e, rest, ok := cutEvent(data)
			if !ok {
				break
			}
			data = rest
			if e.object == waylandSource && e.opcode == 0 && len(files) > 0 {
				e.file, files = files[0], files[1:]
			}
			select {
			case to <- e:
			case <-gone:
				if e.file != nil {
					_ = e.file.Close()
				}
				return
			}
		}
	}
}

// received are the files that came along.
func received(control []byte) []*os.File {
	messages, err := syscall.ParseSocketControlMessage(control)
	if err != nil {
		return nil
	}
	var files []*os.File
	for _, m := range messages {
		fds, err := syscall.ParseUnixRights(&m)
		if err != nil {
			continue
		}
		for _, fd := range fds {
			_ = syscall.SetNonblock(fd, true) // so that a write can be given up
			files = append(files, os.NewFile(uintptr(fd), "a paste"))
		}
	}
	return files
}

// cutEvent takes the first whole event off data. One whose length cannot be is
// an event of nobody's that takes all.
func cutEvent(data []byte) (e waylandEvent, rest []byte, ok bool) {
	if len(data) < 8 {
		return e, data, false
	}
	e.object = binary.NativeEndian.Uint32(data)
	head := binary.NativeEndian.Uint32(data[4:])
	length := int(head >> 16)
	if length < 8 {
		return waylandEvent{}, nil, true
	}
	if len(data) < length {
		return waylandEvent{}, data, false
	}
	e.opcode, e.body = uint16(head&0xffff), slices.Clone(data[8:length])
	return e, data[length:], true
}

// cutString reads a string argument: its length with the zero at its end, and
// the bytes.
func cutString(b []byte) (string, bool) {
	if len(b) < 4 {
		return "", false
	}
	n := int64(binary.NativeEndian.Uint32(b))
	if n == 0 || n > int64(len(b)-4) {
		return "", false
	}
	return string(b[4 : 4+n-1]), true
}

func word(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }

// str is s as a string argument, filled up to whole words.
func str(s string) []byte {
	b := append(word(uint32(len(s)+1)), s...) //nolint:gosec // names of formats
	return append(b, make([]byte, 4-len(s)%4)...)
}
