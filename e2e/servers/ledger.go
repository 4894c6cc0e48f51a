package main

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// ledger is what a server has seen and issued, because only somebody who knows
// all secrets can show that none of them lies about. It is served at /e2e/ledger
// in the shape that server.mjs has. POST /e2e/contend?count=N has the next N
// refreshes lose against another one, where the server can.
type ledger struct {
	mu        sync.Mutex // guards all below
	book      book
	contended int
}

type book struct {
	Codes, Verifiers, Access, Refresh, IDTokens []string
	Devices                                     []string // device codes
	Exchanges                                   int
	Refreshes                                   []refreshed
	Revocations                                 []string // tokens
}

type refreshed struct {
	Sent, Issued, Error string
	At                  int64 // Unix milliseconds
}

// contend reports whether this refresh is to lose.
func (l *ledger) contend() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.contended == 0 {
		return false
	}
	l.contended--
	return true
}

// keep serves the ledger, and enters what goes to h and comes from it.
func (l *ledger) keep(h http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /e2e/ledger", func(w http.ResponseWriter, _ *http.Request) {
		l.mu.Lock()
		defer l.mu.Unlock()
		_ = json.NewEncoder(w).Encode(l.book)
	})
	mux.HandleFunc("POST /e2e/contend", func(_ http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Query().Get("count"))
		l.mu.Lock()
		defer l.mu.Unlock()
		l.contended = n
	})
	mux.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		form, _ := url.ParseQuery(string(body))
		answer := &recorder{header: http.Header{}, status: http.StatusOK}
		h.ServeHTTP(answer, r)
		l.enter(form, answer)
		maps.Copy(w.Header(), answer.header)
		w.WriteHeader(answer.status)
		_, _ = w.Write(answer.body.Bytes())
	})
	mux.Handle("/", h)
	return mux
}

// recorder is an answer on its way.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }
func (r *recorder) WriteHeader(status int)      { r.status = status }

func (l *ledger) enter(form url.Values, answer *recorder) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var got struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
		ID      string `json:"id_token"`
		Device  string `json:"device_code"`
		Error   string
	}
	_ = json.Unmarshal(answer.body.Bytes(), &got) // other answers are not JSON
	b := &l.book
	for _, x := range []struct {
		list  *[]string
		value string
	}{
		{&b.Codes, form.Get("code")},
		{&b.Verifiers, form.Get("code_verifier")},
		{&b.Access, got.Access},
		{&b.Refresh, got.Refresh},
		{&b.IDTokens, got.ID},
		{&b.Devices, got.Device},
	} {
		if x.value != "" {
			*x.list = append(*x.list, x.value)
		}
	}
	switch {
	case form.Get("grant_type") == "refresh_token":
		b.Refreshes = append(b.Refreshes, refreshed{form.Get("refresh_token"), got.Refresh, got.Error, time.Now().UnixMilli()})
	case form.Get("grant_type") == "authorization_code":
		b.Exchanges++
	case form.Get("token") != "" && answer.status == http.StatusOK:
		b.Revocations = append(b.Revocations, form.Get("token"))
	}
}
