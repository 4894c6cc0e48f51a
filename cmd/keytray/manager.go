package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"
)

// A manager is the service manager that started us and waits to hear how things
// are: systemd, by sd_notify(3). Without a socket it is told nothing. It does not
// get the signs of life that systemd's WatchdogSec asks for: who misses one is
// killed, perhaps between a renewal and its saving.
type manager struct {
	socket string // $NOTIFY_SOCKET: a path, or with an @ a name in the abstract namespace
	log    *slog.Logger
	status string // said last
}

// managerPatience is how long a manager may leave a message lying.
const managerPatience = time.Second

// tell hands over assignments, as in READY=1. It may be the last thing that we do.
func (m *manager) tell(ctx context.Context, assignments ...string) {
	if m.socket == "" {
		return
	}
	if err := m.send(context.WithoutCancel(ctx), strings.Join(assignments, "\n")); err != nil { // the end must be told too
		m.log.Warn("the service manager was not told", "err", err)
	}
}

func (m *manager) send(ctx context.Context, message string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unixgram", m.socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(managerPatience)); err != nil {
		return err
	}
	_, err = io.WriteString(conn, message)
	return err
}

// describe says how things are, in one line, if that was not said last.
func (m *manager) describe(ctx context.Context, status string) {
	if status != m.status {
		m.status = status
		m.tell(ctx, "STATUS="+status)
	}
}
