package worker_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/oauth"
	"github.com/keytray/keytray/oauth/oauthtest"
	"github.com/keytray/keytray/sink"
	"github.com/keytray/keytray/sink/sinktest"
	"github.com/keytray/keytray/worker"
)

// handler is a server without a socket, for fake time.
type handler struct{ http.Handler }

func (h handler) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result(), nil
}

// newQuietDesk is one whose server has no socket.
func newQuietDesk(t *testing.T) (*desk, *keeper.Keeper) {
	t.Helper()
	s := oauthtest.New(oauthtest.Options{Device: true})
	s.URL = "http://127.0.0.1:9"
	d := &desk{t, s, &sinktest.Keychain{}, t.TempDir()}
	k := d.keeper()
	k.Client = &oauth.Client{Transport: handler{s}}
	return d, k
}

// serveQuietly is serveWith in fake time.
func serveQuietly(t *testing.T, k *keeper.Keeper, p worker.Desk, in io.Reader, tell func(worker.Event)) (events []worker.Event, err error) {
	t.Helper()
	out := &listener{tell: func(e worker.Event) {
		events = append(events, e)
		if tell != nil {
			tell(e)
		}
	}}
	err = worker.Worker{Keeper: k, Explain: plain, Desk: p}.Serve(t.Context(), in, out)
	return events, err
}

// TestAWorkerOffersACode in a dialog that comes back after each button, and goes
// away when the login is done.
func TestAWorkerOffersACode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, k := newQuietDesk(t)
		p := &person{presses: []int{0, 1, 1}}
		var code worker.Event
		events, err := serveQuietly(t, k, p, strings.NewReader(`{"do":"login","provider":"demo","code":true}`+"\n"), func(e worker.Event) {
			if e.Event == "code" {
				code = e
				time.AfterFunc(time.Minute, func() { _ = d.server.Decide(e.UserCode, "alice") })
			}
		})
		if err != nil || names(events) != "started code open received committed done" {
			t.Fatalf("%s, %v", names(events), err)
		}
		if code.URL != d.server.URL+"/device" || code.Complete != code.URL+"?user_code="+code.UserCode || time.Until(time.UnixMilli(code.ExpiresAt)) <= 0 {
			t.Errorf("code = %+v", code)
		}
		if open := events[slices.IndexFunc(events, func(e worker.Event) bool { return e.Event == "open" })]; open.URL != code.Complete {
			t.Errorf("opened %s", open.URL)
		}
		if p.clipboard.Reveal() != code.UserCode || len(p.saw) != 4 || !strings.Contains(p.saw[0], code.URL+"\n\n"+code.UserCode) {
			t.Errorf("clipboard %q, saw %q", p.clipboard.Reveal(), p.saw)
		}
	})
}

func TestADismissedCodeEndsTheLogin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, k := newQuietDesk(t)
		events, err := serveQuietly(t, k, &person{refuses: true}, strings.NewReader(`{"do":"login","provider":"demo","code":true}`+"\n"), nil)
		if !errors.Is(err, errNo) || names(events) != "started code error" {
			t.Errorf("%s, %v", names(events), err)
		}
	})
	d, k := newQuietDesk(t)
	if _, err := serveQuietly(t, k, nil, strings.NewReader(`{"do":"login","provider":"demo","code":true}`+"\n"), nil); !errors.Is(err, worker.ErrNoDesk) {
		t.Errorf("without anybody: %v", err)
	}
	if _, err := k.Store.Profile(sink.Ref{Agent: "main", ID: "demo:default"}); err == nil || d.server.Stats().Logins != 0 {
		t.Error("somebody signed in")
	}
}
