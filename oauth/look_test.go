package oauth_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/keytray/keytray/oauth"
	"github.com/keytray/keytray/provider"
)

func TestSkewComparesClocks(t *testing.T) {
	for _, ahead := range []time.Duration{0, -2 * time.Hour, 10 * time.Minute} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodHead || r.URL.String() != "/" || r.Header.Get("Authorization") != "" {
				t.Errorf("asked with %s %s", r.Method, r.URL)
			}
			w.Header().Set("Date", time.Now().Add(-ahead).UTC().Format(http.TimeFormat))
			w.WriteHeader(http.StatusNotFound)
		}))
		defer server.Close()
		got, err := new(oauth.Client).Skew(t.Context(), at(server.URL+"/token"))
		if err != nil || (got-ahead).Abs() > 2*time.Second {
			t.Errorf("Skew = %v, %v, want about %v", got, err, ahead)
		}
	}
}

func TestSkewWithoutADate(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Date"] = nil
	}))
	url := server.URL
	if got, err := new(oauth.Client).Skew(t.Context(), at(url)); err == nil {
		t.Errorf("Skew = %v without a Date", got)
	}
	server.Close()
	if got, err := new(oauth.Client).Skew(t.Context(), at(url)); err == nil {
		t.Errorf("Skew = %v of a server that is gone", got)
	}
}

func TestCheckPortsNamesWhoHoldsThem(t *testing.T) {
	port := freePort(t)
	r := provider.Redirect{Host: "localhost", Path: "/cb", Ports: []int{port}}
	if err := oauth.CheckPorts(t.Context(), r); err != nil {
		t.Errorf("a free port: %v", err)
	}
	l := hold(t, "127.0.0.1:0")
	r.Ports = []int{portOf(l)}
	err := oauth.CheckPorts(t.Context(), r)
	if e, ok := errors.AsType[*oauth.PortError](err); !ok || e.Port != portOf(l) {
		t.Errorf("a port that is taken: %v, want a *PortError", err)
	}
	r.Ports = append(r.Ports, port)
	if err := oauth.CheckPorts(t.Context(), r); err != nil {
		t.Errorf("one of two ports is free: %v", err)
	}
	if err := oauth.CheckPorts(t.Context(), provider.Redirect{}); err != nil {
		t.Errorf("any port: %v", err)
	}
}
