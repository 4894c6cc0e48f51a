package oauthtest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Kind is what happened.
type Kind string

// The kinds of events.
const (
	Approved   Kind = "approved"
	Denied     Kind = "denied"
	Exchanged  Kind = "exchanged"
	Refreshed  Kind = "refreshed"
	Reused     Kind = "reused" // a spent refresh token came again; the login is revoked
	CodeReused Kind = "code_reused"
	Refused    Kind = "refused"
	Revoked    Kind = "revoked"
	Struck     Kind = "fault"
	Asked      Kind = "asked" // by an access token that works
)

// Event is one thing that happened. It holds no token.
type Event struct {
	Time time.Time `json:"time"`
	Kind Kind      `json:"kind"`
	User string    `json:"user,omitempty"`
	// Login counts the logins from 1; Generation the refresh tokens of one, also
	// from 1: it is that of the token that was sent.
	Login      int    `json:"login,omitempty"`
	Generation int    `json:"generation,omitempty"`
	Detail     string `json:"detail,omitempty"`
}

// Stats counts events.
type Stats struct {
	Logins    int `json:"logins"`
	Refreshes int `json:"refreshes"`
	Reuses    int `json:"reuses"`
	Revoked   int `json:"revoked"`
	Faults    int `json:"faults"`
	Refused   int `json:"refused"`
	Asked     int `json:"asked"`
}

// Events returns what happened so far; also at GET /test/events.
func (s *Server) Events() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// Stats returns the counters; also at GET /test/stats.
func (s *Server) Stats() Stats {
	var c Stats
	for _, e := range s.Events() {
		switch e.Kind {
		case Exchanged:
			c.Logins++
		case Refreshed:
			c.Refreshes++
		case Reused, CodeReused:
			c.Reuses++
		case Revoked:
			c.Revoked++
		case Struck:
			c.Faults++
		case Refused, Denied:
			c.Refused++
		case Asked:
			c.Asked++
		case Approved:
		}
	}
	return c
}

func (s *Server) record(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log(e)
}

// log is record for those who hold the mutex.
func (s *Server) log(e Event) {
	e.Time = time.Now().UTC()
	s.events = append(s.events, e)
}

// Fault is what happens to one request at an endpoint.
type Fault struct {
	// At is the endpoint's path: "/token", which the empty one means too, "/revoke"
	// or "/userinfo".
	At string `json:"at,omitempty"`
	// Commit lets the request have its effect first: tokens are rotated, and the
	// client does not hear of it.
	Commit bool `json:"commit,omitempty"`
	// Delay comes before everything else that the fault does. A Delay alone is
	// followed by the right answer; a long one is a hang, which ends with the
	// client or the server.
	Delay time.Duration `json:"delay,omitempty"` // in nanoseconds
	// Reset ends the connection with a TCP reset.
	Reset bool `json:"reset,omitempty"`
	// Status, if not 0, is answered with Body and, if not empty, Retry-After.
	Status     int    `json:"status,omitempty"`
	Body       string `json:"body,omitempty"`
	RetryAfter string `json:"retry_after,omitempty"`
}

// Fail lets the coming requests fail, one fault each, in this order; also
// as a JSON array at POST /test/faults.
func (s *Server) Fail(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, faults...)
}

func (s *Server) addFaults(w http.ResponseWriter, r *http.Request) {
	var faults []Fault
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&faults); err != nil {
		http.Error(w, "not a list of faults", http.StatusBadRequest)
		return
	}
	s.Fail(faults...)
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) nextFault(path string) (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.faults, func(f Fault) bool { return cmp.Or(f.At, "/token") == path })
	if i < 0 {
		return Fault{}, false
	}
	f := s.faults[i]
	s.faults = slices.Delete(s.faults, i, i+1)
	s.log(Event{Kind: Struck, Detail: strconv.Itoa(f.Status)})
	return f, true
}

// faulty is an endpoint that faults may strike, before or after the request has
// had its effect, as the fault says.
func (s *Server) faulty(endpoint http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		fault, faulty := s.nextFault(r.URL.Path)
		if !faulty || !fault.Commit {
			if !faulty || !s.strike(w, r, fault) {
				endpoint(w, r)
			}
			return
		}
		held := &heldAnswer{status: http.StatusOK}
		endpoint(held, r)
		if s.strike(w, r, fault) {
			return
		}
		maps.Copy(w.Header(), held.header)
		w.WriteHeader(held.status)
		_, _ = w.Write(held.body.Bytes())
	}
}

// heldAnswer is one that may never be sent.
type heldAnswer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (h *heldAnswer) Header() http.Header {
	if h.header == nil {
		h.header = http.Header{}
	}
	return h.header
}
func (h *heldAnswer) Write(b []byte) (int, error) { return h.body.Write(b) }
func (h *heldAnswer) WriteHeader(status int)      { h.status = status }

// strike reports whether the request is done with.
func (s *Server) strike(w http.ResponseWriter, r *http.Request, f Fault) bool {
	if f.Delay > 0 && !s.pause(r, f.Delay) {
		return true
	}
	if f.Reset {
		reset(w)
		return true
	}
	if f.Status == 0 {
		return false
	}
	if f.RetryAfter != "" {
		w.Header().Set("Retry-After", f.RetryAfter)
	}
	if json.Valid([]byte(f.Body)) {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(f.Status)
	_, _ = io.WriteString(w, f.Body)
	return true
}

// pause reports whether it waited in full.
func (s *Server) pause(r *http.Request, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
	case <-s.quit:
	}
	return false
}

// reset closes the connection so that the client sees RST, not an end.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
