//go:build linux

package clients

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// model is a language model that says one thing, in the way of OpenAI's chat
// completions, and remembers with whose token it was asked.
type model struct {
	url string

	mu      sync.Mutex // guards bearers
	bearers []string
}

const modelSays = "OK from the model"

func startModel(tb testing.TB) *model {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	m := &model{url: "http://" + l.Addr().String() + "/v1"}
	s := &http.Server{Handler: m, ReadHeaderTimeout: 5 * time.Second}
	go s.Serve(l)
	tb.Cleanup(func() { s.Close() })
	return m
}

func (m *model) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	if r.URL.Path != "/v1/chat/completions" {
		http.NotFound(w, r)
		return
	}
	m.mu.Lock()
	m.bearers = append(m.bearers, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	m.mu.Unlock()
	w.Header().Set("Content-Type", "text/event-stream")
	for _, delta := range []string{`{"role":"assistant","content":""}`, fmt.Sprintf(`{"content":%q}`, modelSays)} {
		fmt.Fprintf(w, "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m1\",\"choices\":[{\"index\":0,\"delta\":%s,\"finish_reason\":null}]}\n\n", delta)
	}
	fmt.Fprint(w, "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7}}\n\ndata: [DONE]\n\n")
}

// last is the token that came with the latest question.
func (m *model) last() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.bearers) == 0 {
		return ""
	}
	return m.bearers[len(m.bearers)-1]
}
