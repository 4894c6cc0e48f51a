package wire_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/keytray/keytray/oauth/wire"
)

func TestGet(t *testing.T) {
	var accept string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		accept = r.Header.Get("Accept")
		switch r.URL.Path {
		case "/long":
			_, _ = w.Write(make([]byte, 256<<10+1))
		case "/whole":
			_, _ = w.Write(make([]byte, 256<<10))
		case "/elsewhere":
			http.Redirect(w, r, "/whole", http.StatusFound)
		case "/broken":
			w.Header().Set("Content-Length", "9")
			_, _ = w.Write([]byte("SECRET"))
		}
	}))
	defer srv.Close()
	if a, err := (wire.Client{}).Get(t.Context(), srv.URL+"/whole", nil); err != nil || !a.OK() || len(a.Body) != 256<<10 || accept != "application/json" {
		t.Errorf("whole: %d bytes, %v, Accept %q", len(a.Body), err, accept)
	}
	if _, err := (wire.Client{}).Get(t.Context(), srv.URL+"/long", nil); !errors.Is(err, wire.ErrTooLong) {
		t.Errorf("long: %v, want ErrTooLong", err)
	}
	if a, err := (wire.Client{}).Get(t.Context(), srv.URL+"/elsewhere", nil); err != nil || a.OK() || a.Status != http.StatusFound {
		t.Errorf("redirect: %d, %v", a.Status, err)
	}
	if _, err := (wire.Client{}).Get(t.Context(), srv.URL+"/broken", nil); err == nil || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("broken: %v", err)
	}
	if _, err := (wire.Client{}).Get(t.Context(), "http://a b/SECRET", nil); err == nil || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("no address: %v", err)
	}
}
