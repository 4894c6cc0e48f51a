//go:build linux

package notify_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/keytray/keytray/notify"
)

func signInNeeded() notify.Notice {
	return notify.Notice{
		Cause: "openai:alice", Title: "Sign-in needed",
		Body:    "The login of alice@example.org at OpenAI has ended.",
		Actions: []notify.Action{{ID: "login", Label: "Sign in"}, {ID: "later", Label: "Later"}},
		Click:   notify.Action{ID: "open", Label: "Open"},
	}
}

func TestOneCauseIsOneBubble(t *testing.T) {
	for name, start := range servers {
		t.Run(name, func(t *testing.T) {
			s := start(t, newDesktop(t))
			wire := s.newSpy(t)
			b, _ := open(t, s.Address())
			n := signInNeeded()
			send(t, b, n)
			s.await(t, 1)
			n.Title = "Still"
			send(t, b, n)
			if first, second := wire.replaces(t), wire.replaces(t); first != 0 || second == 0 {
				t.Error("the second notice does not replace the first")
			}
			n.Cause, n.Title = "other", "Other"
			send(t, b, n)
			s.await(t, 2)
			s.shot(t, "two")
			b.Withdraw(t.Context(), "openai:alice")
			s.await(t, 1)
			b.Withdraw(t.Context(), "openai:alice")
			b.Withdraw(t.Context(), "unheard of")
			send(t, b, signInNeeded())
			s.await(t, 2)
		})
	}
}

func TestWhatIsPressedIsHeard(t *testing.T) {
	for name, start := range servers {
		t.Run(name, func(t *testing.T) {
			s := start(t, newDesktop(t))
			wire := s.newSpy(t)
			b, answers := open(t, s.Address())
			for label, action := range map[string]string{"Sign in": "login", "Later": "later", "Open": "open"} {
				send(t, b, signInNeeded())
				if wire.replaces(t) != 0 {
					t.Error("a bubble takes the place of one that was answered")
				}
				s.await(t, 1)
				s.press(t, label)
				awaitAnswer(t, answers, answer{"openai:alice", action})
				s.await(t, 0)
			}
		})
	}
}

// TestANoticeInAnswerStays is about servers that, after a button was pressed,
// close a bubble that has been replaced by then, or say so at least.
func TestANoticeInAnswerStays(t *testing.T) {
	for name, start := range servers {
		t.Run(name, func(t *testing.T) {
			s := start(t, newDesktop(t))
			var b *notify.Bell
			sent := make(chan error)
			b = notify.Open(notify.Options{Bus: s.Address(), Acted: func(cause, _ string) {
				sent <- b.Send(context.Background(), notify.Notice{Cause: cause, Title: "Signing in"})
			}})
			defer b.Close()
			wire, closed := s.newSpy(t), s.newSpy(t)
			send(t, b, signInNeeded())
			s.await(t, 1)
			s.press(t, "Sign in")
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
			if first, second := wire.replaces(t), wire.replaces(t); first != 0 || second != 0 {
				t.Error("the answer takes the place of a bubble that the server may close")
			}
			closed.next(t, "NotificationClosed")
			send(t, b, notify.Notice{Cause: "openai:alice", Title: "Signed in"})
			if wire.replaces(t) == 0 {
				t.Error("the bubble of the answer is forgotten")
			}
			s.await(t, 1)
			s.shot(t, "signed-in")
		})
	}
}

func TestADismissedBubbleIsForgotten(t *testing.T) {
	for name, start := range servers {
		t.Run(name, func(t *testing.T) {
			s := start(t, newDesktop(t))
			b, answers := open(t, s.Address())
			n := signInNeeded()
			n.Click = notify.Action{}
			send(t, b, n)
			s.await(t, 1)
			wire := s.newSpy(t)
			s.dismiss(t)
			s.await(t, 0)
			if reason := wire.next(t, "NotificationClosed").Body[1]; reason != uint32(2) {
				t.Errorf("closed for reason %v", reason)
			}
			send(t, b, n)
			if wire.replaces(t) != 0 {
				t.Error("it takes the place of a dismissed bubble")
			}
			s.await(t, 1)
			if len(answers) != 0 {
				t.Errorf("dismissing answers %v", <-answers)
			}
		})
	}
}

// TestTextIsText has texts that are markup, or turn the direction of others.
func TestTextIsText(t *testing.T) {
	for name, start := range servers {
		t.Run(name, func(t *testing.T) {
			s := start(t, newDesktop(t))
			wire := s.newSpy(t)
			b, _ := open(t, s.Address())
			n := signInNeeded()
			n.Title = "<i>Sign-in</i> &amp;\u202e\x1b[31m\nneeded"
			n.Body = "<b>Bold</b> & <img src=\"x\">\u2066\x00\xff\n<a href='https://example.org'>&lt;link" + strings.Repeat("x", 1000)
			n.Actions[0].Label = "<u>Sign&in\u200f"
			send(t, b, n)
			s.await(t, 1)
			s.shot(t, "hostile")
			call := wire.next(t, "Notify").Body
			if got, want := call[3], "<i>Sign-in</i> &amp;[31m needed"; got != want {
				t.Errorf("title %q, want %q", got, want)
			}
			want := "&lt;b&gt;Bold&lt;/b&gt; &amp; &lt;img src=\"x\"&gt;\n&lt;a href='https://example.org'&gt;&amp;lt;linkx"
			if got := call[4].(string); !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "x…") {
				t.Errorf("body %q, want %q…", got, want)
			}
			if got := fmt.Sprint(call[5]); got != "[default Open 0 <u>Sign&in 1 Later]" {
				t.Errorf("actions %s", got)
			}
		})
	}
}

// TestTextWithoutMarkup has a server that shows everything as it is.
func TestTextWithoutMarkup(t *testing.T) {
	s := startDunstWith(t, newDesktop(t), "no")
	wire := s.newSpy(t)
	b, _ := open(t, s.Address())
	send(t, b, notify.Notice{Title: "t", Body: "<b>R&D</b>"})
	if got := wire.next(t, "Notify").Body[4]; got != "<b>R&D</b>" {
		t.Errorf("body %q", got)
	}
}

func TestUrgencyIsWhatWasSaid(t *testing.T) {
	s := startDunst(t, newDesktop(t))
	wire := s.newSpy(t)
	b, _ := open(t, s.Address())
	for urgency, want := range map[notify.Urgency]byte{notify.Low: 0, notify.Normal: 1, notify.Critical: 2, -9: 0, 9: 2} {
		send(t, b, notify.Notice{Title: "t", Urgency: urgency})
		call := wire.next(t, "Notify").Body
		hints := call[6].(map[string]dbus.Variant)
		if got := hints["urgency"].Value(); got != want {
			t.Errorf("urgency %d is sent as %v, want %v", urgency, got, want)
		}
		if got := hints["transient"].Value(); got != (want == 0) {
			t.Errorf("urgency %d: transient %v", urgency, got)
		}
		if hints["suppress-sound"].Value() != true || hints["desktop-entry"].Value() != "keytray" || call[7] != int32(-1) {
			t.Errorf("hints %v, timeout %v", hints, call[7])
		}
	}
}

// TestQuietHoursAreTheServers has a person who does not want to be disturbed.
func TestQuietHoursAreTheServers(t *testing.T) {
	s := startDunst(t, newDesktop(t))
	quiet := func(on bool) {
		t.Helper()
		err := s.conn.Object(serverName, "/org/freedesktop/Notifications").SetProperty("org.dunstproject.cmd0.paused", on)
		if err != nil {
			t.Fatal(err)
		}
	}
	b, _ := open(t, s.Address())
	quiet(true)
	for _, title := range []string{"First", "Second"} {
		n := signInNeeded()
		n.Title, n.Urgency = title, notify.Critical
		send(t, b, n)
	}
	if n := s.bubbles(t); n != 0 {
		t.Errorf("%d bubbles in quiet hours", n)
	}
	quiet(false)
	s.await(t, 1)
}

func TestTheServerCanBeAnother(t *testing.T) {
	s := startDunst(t, newDesktop(t))
	b, answers := open(t, s.Address())
	send(t, b, signInNeeded())
	s.await(t, 1)
	s.kill()
	isNobody(t, b, time.Second)
	for _, start := range []func(*testing.T, *desktop) *server{startXfce, startDunst} {
		s = start(t, s.desktop)
		wire := s.newSpy(t)
		send(t, b, signInNeeded())
		if wire.replaces(t) != 0 {
			t.Error("it takes the place of a bubble of another server")
		}
		s.await(t, 1)
		s.press(t, "Sign in")
		awaitAnswer(t, answers, answer{"openai:alice", "login"})
		send(t, b, signInNeeded())
		s.kill()
	}
}

// isNobody sends in vain.
func isNobody(t *testing.T, b *notify.Bell, within time.Duration) {
	t.Helper()
	began := time.Now()
	if err := b.Send(t.Context(), signInNeeded()); !errors.Is(err, notify.ErrNoServer) {
		t.Errorf("Send() = %v, want ErrNoServer", err)
	}
	if d := time.Since(began); d > within {
		t.Errorf("it took %v", d)
	}
	b.Withdraw(t.Context(), "openai:alice")
}

func TestNobodyIsThere(t *testing.T) {
	t.Parallel()
	d := newBus(t)
	fails := newBus(t)
	fails.serve(t, serverName, "/bin/false")
	for _, address := range []string{d.Address(), fails.Address(), "unix:path=" + filepath.Join(t.TempDir(), "none"), "nonsense", "unix:path="} {
		b, _ := open(t, address)
		isNobody(t, b, time.Second)
		b.Close()
		b.Close()
		if err := b.Send(t.Context(), signInNeeded()); err == nil || errors.Is(err, notify.ErrNoServer) {
			t.Errorf("Send() after Close = %v", err)
		}
	}
}

// TestAServerThatDoesNotStart is a bus that waits for a program.
func TestAServerThatDoesNotStart(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes 5 s")
	}
	d := newBus(t)
	d.serve(t, serverName, "/bin/sleep 60")
	b, _ := open(t, d.Address())
	isNobody(t, b, 6*time.Second)
}

func TestTheBusStartsTheServer(t *testing.T) {
	d := newDesktop(t)
	d.serve(t, serverName, find(t, "dunst", "dunst"))
	environment := map[string]string{"DISPLAY": d.display}
	if err := d.conn.BusObject().Call("org.freedesktop.DBus.UpdateActivationEnvironment", 0, environment).Err; err != nil {
		t.Fatal(err)
	}
	b, _ := open(t, d.Address())
	send(t, b, signInNeeded())
}

// TestAServerThatIsStuck stops a server, which shows later what it got.
func TestAServerThatIsStuck(t *testing.T) {
	t.Parallel()
	s := startDunst(t, newDesktop(t))
	b, answers := open(t, s.Address())
	n := signInNeeded()
	send(t, b, n)
	s.await(t, 1)
	wire := s.newSpy(t)
	signal(t, s.process.Process.Pid, syscall.SIGSTOP)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	n.Cause, n.Title = "new", "Once"
	if err := b.Send(ctx, n); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, notify.ErrNoServer) {
		t.Errorf("Send() with a deadline of its own = %v", err)
	}
	n.Title = "Again"
	began := time.Now()
	if err := b.Send(t.Context(), n); !errors.Is(err, notify.ErrNoServer) || time.Since(began) > 6*time.Second {
		t.Errorf("Send() = %v after %v", err, time.Since(began))
	}
	signal(t, s.process.Process.Pid, syscall.SIGCONT)
	s.await(t, 2)
	n.Title = "Third"
	send(t, b, n)
	if first, second := wire.replaces(t), wire.replaces(t); first != 0 || second == 0 {
		t.Error("what came after the bubble that was late is another one")
	}
	s.await(t, 2)
	b.Withdraw(t.Context(), "openai:alice")
	s.await(t, 1)
	s.press(t, "Sign in")
	awaitAnswer(t, answers, answer{"new", "login"})
}

// TestALateBubbleAnswers presses a button of a bubble that Send gave up, of a
// server that did not even say at first what it can do.
func TestALateBubbleAnswers(t *testing.T) {
	t.Parallel()
	s := startDunst(t, newDesktop(t))
	b, answers := open(t, s.Address())
	inVain := func() {
		t.Helper()
		signal(t, s.process.Process.Pid, syscall.SIGSTOP)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := b.Send(ctx, signInNeeded()); err == nil {
			t.Error("a stopped server answers")
		}
		signal(t, s.process.Process.Pid, syscall.SIGCONT)
	}
	inVain()
	send(t, b, notify.Notice{Cause: "first", Title: "first"})
	b.Withdraw(t.Context(), "first")
	s.await(t, 0)
	inVain()
	s.await(t, 1)
	s.press(t, "Sign in")
	awaitAnswer(t, answers, answer{"openai:alice", "login"})
}

func signal(t *testing.T, pid int, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, s); err != nil {
		t.Fatal(err)
	}
}

func TestTheBusCanBeAnother(t *testing.T) {
	s := startDunst(t, newDesktop(t))
	address, _, _ := strings.Cut(s.Address(), ",") // without what names this one bus
	b, answers := open(t, address)
	send(t, b, signInNeeded())
	signal(t, s.BusPID(), syscall.SIGKILL)
	isNobody(t, b, time.Second)
	if err := s.RestartBus(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.desktop.conn = connect(t, s.Address())
	isNobody(t, b, time.Second)
	s = startDunst(t, s.desktop)
	send(t, b, signInNeeded())
	s.await(t, 1)
	s.press(t, "Later")
	awaitAnswer(t, answers, answer{"openai:alice", "later"})
}

func TestABusThatIsStuck(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes 5 s")
	}
	d := newBus(t)
	known, _ := open(t, d.Address())
	isNobody(t, known, time.Second) // it has a connection now
	fresh, _ := open(t, d.Address())
	signal(t, d.BusPID(), syscall.SIGSTOP)
	var both sync.WaitGroup
	for _, b := range []*notify.Bell{known, fresh, fresh} {
		both.Go(func() {
			began := time.Now()
			if err := b.Send(t.Context(), signInNeeded()); !errors.Is(err, notify.ErrNoServer) || time.Since(began) > 6*time.Second {
				t.Errorf("Send() = %v after %v", err, time.Since(began))
			}
		})
	}
	both.Wait()
	signal(t, d.BusPID(), syscall.SIGCONT)
	isNobody(t, known, time.Second)
}

// TestNoSignalReachesTheSharedConnection has the connection that systray and
// go-keyring share, on which any foreign signal loses icons and passwords.
func TestNoSignalReachesTheSharedConnection(t *testing.T) {
	for name, start := range servers {
		t.Run(name, func(t *testing.T) {
			s := start(t, newDesktop(t))
			t.Setenv("DBUS_SESSION_BUS_ADDRESS", s.Address())
			shared, err := dbus.SessionBus()
			if err != nil {
				t.Fatal(err)
			}
			defer shared.Close()
			signals := make(chan *dbus.Signal, 100)
			shared.Signal(signals)
			wire := s.newSpy(t)
			b, answers := open(t, s.Address())
			send(t, b, signInNeeded())
			s.await(t, 1)
			s.press(t, "Sign in")
			awaitAnswer(t, answers, answer{"openai:alice", "login"})
			wire.next(t, "NotificationClosed")
			if err := shared.BusObject().Call("org.freedesktop.DBus.GetId", 0).Err; err != nil { // all before it has come
				t.Fatal(err)
			}
			for len(signals) > 0 {
				if sig := <-signals; strings.HasPrefix(sig.Name, serverName) {
					t.Errorf("the shared connection hears %s", sig.Name)
				}
			}
		})
	}
}

// TestAnAbandonedSendHarmsNoOther gives up before it begins; the buttons that
// are there work on.
func TestAnAbandonedSendHarmsNoOther(t *testing.T) {
	s := startDunst(t, newDesktop(t))
	b, answers := open(t, s.Address())
	send(t, b, signInNeeded())
	s.await(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		if err := b.Send(ctx, signInNeeded()); !errors.Is(err, context.Canceled) {
			t.Errorf("Send() = %v", err)
		}
	}
	s.press(t, "Later")
	awaitAnswer(t, answers, answer{"openai:alice", "later"})
}

// TestASignalOfAnotherIsNotBelieved presses a button from elsewhere on the bus.
func TestASignalOfAnotherIsNotBelieved(t *testing.T) {
	s := startDunst(t, newDesktop(t))
	b, answers := open(t, s.Address())
	wire := s.newSpy(t)
	send(t, b, signInNeeded())
	bell := wire.next(t, "Notify").Headers[dbus.FieldSender].Value().(string)
	for id := range uint32(10) {
		forged := &dbus.Message{Type: dbus.TypeSignal, Body: []any{id, "0"}, Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldPath:        dbus.MakeVariant(dbus.ObjectPath("/org/freedesktop/Notifications")),
			dbus.FieldInterface:   dbus.MakeVariant(serverName),
			dbus.FieldMember:      dbus.MakeVariant("ActionInvoked"),
			dbus.FieldDestination: dbus.MakeVariant(bell),
			dbus.FieldSignature:   dbus.MakeVariant(dbus.SignatureOf(id, "0")),
		}}
		if err := s.conn.Send(forged, nil).Err; err != nil {
			t.Fatal(err)
		}
		wire.next(t, "ActionInvoked")
	}
	s.press(t, "Later")
	awaitAnswer(t, answers, answer{"openai:alice", "later"})
}

// liar is a server that knows the methods and not their types.
type liar struct{}

func (liar) GetCapabilities() (uint32, *dbus.Error) { return 7, nil }

func (liar) Notify(string, uint32, string, string, string, []string, map[string]dbus.Variant, int32) (string, *dbus.Error) {
	return "seven", nil
}

func TestAServerThatLies(t *testing.T) {
	t.Parallel()
	d := newBus(t)
	if err := d.conn.Export(liar{}, "/org/freedesktop/Notifications", serverName); err != nil {
		t.Fatal(err)
	}
	if _, err := d.conn.RequestName(serverName, dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	b, _ := open(t, d.Address())
	isNobody(t, b, time.Second)
}

// heir is a server that waits for another one to end.
type heir struct{}

func (heir) GetCapabilities() ([]string, *dbus.Error) { return nil, nil }

func (heir) Notify(string, uint32, string, string, string, []string, map[string]dbus.Variant, int32) (uint32, *dbus.Error) {
	return 1, nil
}

// TestAServerThatDiesWithANoticeHasAnHeir kills a server that has the notice and
// did not show it yet.
func TestAServerThatDiesWithANoticeHasAnHeir(t *testing.T) {
	s := startDunst(t, newDesktop(t))
	b, _ := open(t, s.Address())
	send(t, b, signInNeeded())
	if err := s.conn.Export(heir{}, "/org/freedesktop/Notifications", serverName); err != nil {
		t.Fatal(err)
	}
	if reply, err := s.conn.RequestName(serverName, 0); err != nil || reply != dbus.RequestNameReplyInQueue {
		t.Fatal(reply, err)
	}
	wire := s.newSpy(t)
	signal(t, s.process.Process.Pid, syscall.SIGSTOP)
	sent := make(chan error, 1)
	go func() { sent <- b.Send(t.Context(), signInNeeded()) }()
	if wire.replaces(t) == 0 {
		t.Error("it replaces nothing at the old server")
	}
	s.kill()
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if wire.replaces(t) != 0 {
		t.Error("it replaces something at the heir")
	}
}

func TestAThousandNoticesLeaveNothing(t *testing.T) {
	s := startDunst(t, newDesktop(t))
	b, _ := open(t, s.Address())
	ring := func(times int) {
		for i := range times {
			n := signInNeeded()
			n.Title = fmt.Sprint("Notice ", i)
			send(t, b, n)
			n.Cause = fmt.Sprint("cause ", i)
			n.Title = "Of " + n.Cause // dunst puts equal texts into one bubble
			send(t, b, n)
			b.Withdraw(t.Context(), n.Cause)
		}
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	ring(20)
	goroutines, before := runtime.NumGoroutine(), heap()
	began := time.Now()
	ring(500)
	t.Logf("%v for each notice", time.Since(began)/1000)
	s.await(t, 1)
	settle(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= goroutines })
	if after := heap(); after > before+200_000 {
		t.Errorf("the heap grows from %d to %d", before, after)
	}
}

func TestSendersAtOnce(t *testing.T) {
	s := startDunst(t, newDesktop(t))
	b, _ := open(t, s.Address())
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 10 {
				n := notify.Notice{Cause: strconv.Itoa(i % 2), Title: fmt.Sprint("Notice ", i, j)}
				if err := b.Send(t.Context(), n); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	s.await(t, 2)
}
