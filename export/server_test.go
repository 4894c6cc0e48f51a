package export_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// headers is the URL of a server that answers with the Authorization header.
func headers(t *testing.T) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get("Authorization"))
	}))
	s.Config.MaxHeaderBytes = 1 << 20
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}
