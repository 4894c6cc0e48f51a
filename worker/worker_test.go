package worker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/oauth/oauthtest"
	"github.com/keytray/keytray/sink"
	"github.com/keytray/keytray/sink/sinktest"
	"github.com/keytray/keytray/worker"
)

// serve lets a new process on the desk do what in says, and returns the events.
func (d *desk) serve(ctx context.Context, in io.Reader, tell func(worker.Event)) (events []worker.Event, raw string, err error) {
	d.t.Helper()
	return d.serveWith(ctx, nil, in, tell)
}

// serveWith is serve where there is a person.
func (d *desk) serveWith(ctx context.Context, p worker.Desk, in io.Reader, tell func(worker.Event)) (events []worker.Event, raw string, err error) {
	d.t.Helper()
	out := &listener{tell: tell}
	err = worker.Worker{Keeper: d.keeper(), Explain: plain, Desk: p}.Serve(ctx, in, out)
	out.mu.Lock()
	defer out.mu.Unlock()
	for line := range strings.Lines(out.b.String()) {
		var e worker.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			d.t.Errorf("%q: %v", line, err)
		}
		events = append(events, e)
	}
	return events, out.b.String(), err
}

func plain(err error) worker.Failure {
	f := worker.Failure{Code: "failed", Exit: 1, Message: err.Error()}
	if errors.Is(err, worker.ErrNoDesk) {
		f.Code = "no_dialog"
	}
	if e, ok := errors.AsType[*keeper.LoginRequiredError](err); ok {
		f.Reason, f.Hint = e.Reason, e.Condition().Command
	}
	return f
}

// listener is the other end of a worker's stdout.
type listener struct {
	tell func(worker.Event)
	mu   sync.Mutex // guards b
	b    bytes.Buffer
}

func (l *listener) Write(p []byte) (int, error) {
	var e worker.Event
	if json.Unmarshal(p, &e) == nil && l.tell != nil {
		l.tell(e)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func names(events []worker.Event) string {
	var s []string
	for _, e := range events {
		s = append(s, e.Event)
	}
	return strings.Join(s, " ")
}

func TestAWorkerTellsItsStepsAndNoSecret(t *testing.T) {
	t.Parallel()
	d := newDesk(t, oauthtest.Options{})
	browse := func(e worker.Event) {
		if e.Event == "url" {
			go func() { _, _ = oauthtest.Browser{User: "alice"}.Open(t.Context(), e.URL) }()
		}
	}
	events, raw, err := d.serve(t.Context(), strings.NewReader(`{"do":"login","provider":"`+d.server.Provider().ID+`"}`+"\n"), browse)
	if err != nil || names(events) != "started url received committed done" {
		t.Fatalf("login: %s, %v", names(events), err)
	}
	raws := []string{raw}
	p := events[4].Profile
	if p == nil || p.Generation != 1 || p.State != "ok" || p.ExpiresAt == 0 || p.Email == "" {
		t.Fatalf("profile = %+v", p)
	}
	for _, c := range []struct{ do, want string }{
		{"renew", "started done"}, // it is not due
		{"refresh", "started sending journalled committed done"},
		{"restore", "started done"},
		{"probe", "started done"},
	} {
		events, more, err := d.serve(t.Context(), strings.NewReader(`{"do":"`+c.do+`","profile":"`+p.ID+`"}`+"\n"), nil)
		raws = append(raws, more)
		if err != nil || names(events) != c.want {
			t.Errorf("%s: %s, %v, want %s", c.do, names(events), err, c.want)
		}
	}
	d.server.Fail(oauthtest.Fault{Status: 400, Body: `{"error":"refresh_token_reused"}`})
	events, more, err := d.serve(t.Context(), strings.NewReader(`{"do":"refresh","profile":"`+p.ID+`"}`+"\n"), nil)
	raws = append(raws, more)
	if err == nil || names(events) != "started sending error" || events[2].Reason != "used_elsewhere" || events[2].Hint == "" {
		t.Errorf("a login that others use: %s, %+v", names(events), events[len(events)-1].Failure)
	}
	if events, _, err = d.serve(t.Context(), strings.NewReader(`{"do":"logout","profile":"`+p.ID+`"}`+"\n"), nil); err != nil || names(events) != "started farewell done" || events[1].Farewell != keeper.Told || events[2].Profile != nil {
		t.Errorf("logout: %s, %v", names(events), err)
	}
	for _, s := range d.server.Secrets() {
		if strings.Contains(strings.Join(raws, ""), s) {
			t.Errorf("a secret passed through the pipe")
		}
	}
}

func TestAWorkerRefusesNonsense(t *testing.T) {
	t.Parallel()
	d := newDesk(t, oauthtest.Options{})
	for _, in := range []string{"", "\n", "nonsense\n", "[]\n", `{"do":"rm"}`, `{"do":"renew"}`, `{"do":"renew","profile":"x","more":1}`, `{"do":"probe","agent":"../x"}`, strings.Repeat("x", 100<<10)} {
		events, _, err := d.serve(t.Context(), strings.NewReader(in), nil)
		if !errors.Is(err, worker.ErrBadRequest) || events[len(events)-1].Event != "error" {
			t.Errorf("%.20q: %s, %v", in, names(events), err)
		}
	}
	if _, _, err := d.serve(t.Context(), iotest.ErrReader(io.ErrUnexpectedEOF), nil); !errors.Is(err, worker.ErrBadRequest) {
		t.Errorf("a broken pipe: %v", err)
	}
}

// A cancelled worker sends nothing, even if what it waits for never ends; one
// that has sent stays.
func TestACancelledWorkerSendsNothing(t *testing.T) {
	t.Parallel()
	d := newDesk(t, oauthtest.Options{})
	p := d.login("alice")
	before := d.server.Stats()
	release := make(chan struct{})
	defer close(release)
	hanging := make(chan struct{}, 100)
	d.keychain.SetFault(func(sinktest.Op) sinktest.Fault {
		hanging <- struct{}{}
		<-release
		return sinktest.None
	})
	in, w := io.Pipe()
	go func() {
		_, _ = io.WriteString(w, `{"do":"refresh","profile":"`+p.ID+`"}`+"\n")
		<-hanging
		_, _ = io.WriteString(w, `{"cmd":"paste"}`+"\n"+`{"cmd":"rm"}`+"\n"+`{"cmd":"cancel"}`+"\n")
	}()
	begun := time.Now()
	events, _, err := d.serve(t.Context(), in, nil)
	if !errors.Is(err, context.Canceled) || time.Since(begun) > 10*time.Second {
		t.Errorf("Serve = %v after %v, want a cancellation", err, time.Since(begun))
	}
	if got := names(events); got != "started "+strings.Repeat("refused ", 2)+"error" || events[1].Code != "no_dialog" {
		t.Errorf("events = %s", got)
	}
	if now := d.server.Stats(); now != before {
		t.Errorf("the server saw %+v, then %+v", before, now)
	}
}

func TestAWorkerThatHasSentStaysUntilItIsSaved(t *testing.T) {
	t.Parallel()
	d := newDesk(t, oauthtest.Options{})
	p := d.login("alice")
	d.server.Fail(oauthtest.Fault{Delay: 2500 * time.Millisecond}) // longer than a cancelled worker's grace
	ctx, cancel := context.WithCancel(t.Context())
	events, _, err := d.serve(ctx, strings.NewReader(`{"do":"refresh","profile":"`+p.ID+`"}`+"\n"), func(e worker.Event) {
		if e.Event == "sending" {
			cancel()
		}
	})
	if err != nil || names(events) != "started sending journalled committed done" {
		t.Errorf("%s, %v", names(events), err)
	}
	if got := d.profile(p.Ref); got.Generation != 2 || got.State != sink.StateOK {
		t.Errorf("generation %d, %s", got.Generation, got.State)
	}
}

// FuzzWorker sends anything to a worker without logins: it answers in whole
// lines, ends with a result, and sends nothing anywhere.
func FuzzWorker(f *testing.F) {
	for _, s := range []string{
		"", "{}", `{"do":"probe"}`, `{"do":"renew","profile":"acme:a"}`, `{"do":"probe"}` + "\n" + `{"cmd":"cancel"}`, `{"do":"probe","agent":"\u0000"}`, "\xff\n", `{"do":"restore","profile":"a"}`,
		`{"do":"restore"}`, `{"do":"add","provider":"acme","kind":"api_key"}`, `{"do":"add","provider":"acme","kind":"x"}`, `{"do":"copy","profile":"a"}`, `{"do":"logout","profile":"a","confirm":true}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		d := &desk{t, oauthtest.New(oauthtest.Options{}), &sinktest.Keychain{}, t.TempDir()}
		k := d.keeper()
		k.Providers = nil
		var out listener
		err := worker.Worker{Keeper: k, Explain: plain}.Serve(t.Context(), bytes.NewReader(in), &out)
		out.mu.Lock()
		defer out.mu.Unlock()
		results := 0
		for line := range strings.Lines(out.b.String()) {
			var e worker.Event
			if json.Unmarshal([]byte(line), &e) != nil || !strings.HasSuffix(line, "\n") {
				t.Fatalf("answered %q", line)
			}
			if e.Event == "done" || e.Event == "error" {
				results++
			}
		}
		if results != 1 {
			t.Errorf("%d results and %v for %q", results, err, in)
		}
	})
}
