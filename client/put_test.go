package client_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keytray/keytray/client"
)

const (
	freshCodex  = `{"auth_mode":"chatgptAuthTokens","OPENAI_API_KEY":null,"tokens":{"id_token":"n","access_token":"n","refresh_token":"","account_id":"1"},"last_refresh":"2026-11-24T00:00:00Z"}`
	freshKey    = `{"auth_mode":"apikey","OPENAI_API_KEY":"sk-ours"}`
	freshClaude = `{"claudeAiOauth":{"accessToken":"n","expiresAt":null,"scopes":["user:inference"]}}`
	freshPi     = `{"openai-codex":{"type":"api_key","key":"n"}}`
)

// put puts fresh into the file, and returns the mark of it.
func (h *home) put(fresh string, last client.Mark) client.Mark {
	h.t.Helper()
	mark, err := h.src.Mark([]byte(fresh))
	must(h.t, err)
	must(h.t, h.src.Put(h.t.Context(), []byte(fresh), last))
	return mark
}

// TestPutKeepsTheRest of a file, in its style, and Drop takes out only what was put
// there.
func TestPutKeepsTheRest(t *testing.T) {
	t.Parallel()
	for program, c := range map[string]struct{ before, fresh, rest string }{
		"codex":  {"{\n  \"future\": [1],\n  \"tokens\": {\"access_token\": \"old\", \"refresh_token\": \"\"}\n}\n", freshCodex, `"future"`},
		"claude": {`{"mcpOAuth":{"x":1},"claudeAiOauth":{"accessToken":"old","expiresAt":1}}`, freshClaude, `"mcpOAuth":{"x":1}`},
		"pi":     {`{"anthropic":{"type":"oauth","access":"a","refresh":"theirs"}}`, freshPi, `"refresh":"theirs"`},
	} {
		h := newHome(t, program, c.before)
		mark := h.put(c.fresh, client.Mark{})
		got := h.text()
		if !strings.Contains(got, c.rest) || strings.Contains(got, "old") || !strings.Contains(got, `"n"`) {
			t.Errorf("%s: the file is %s", program, got)
		}
		if strings.Contains(c.before, "\n") != strings.Contains(got, "\n") {
			t.Errorf("%s: another style: %s", program, got)
		}
		must(t, h.src.Drop(t.Context(), mark))
		got = h.text()
		if !strings.Contains(got, c.rest) || strings.Contains(got, `"n"`) {
			t.Errorf("%s: after the drop the file is %s", program, got)
		}
	}
}

// TestPutMakesAFile that Drop removes, as nothing else is in it.
func TestPutMakesAFile(t *testing.T) {
	t.Parallel()
	h := newHome(t, "codex", "{}")
	must(t, os.Remove(h.src.Path))
	mark := h.put(freshCodex, client.Mark{})
	fi, err := os.Stat(h.src.Path)
	must(t, err)
	if fi.Mode().Perm() != 0o600 && os.PathSeparator == '/' {
		t.Errorf("mode %v, want 0600", fi.Mode())
	}
	if got := h.text(); !strings.HasPrefix(got, "{\n  \"auth_mode\"") || !strings.HasSuffix(got, "}\n") {
		t.Errorf("the new file is not written over several lines: %s", got)
	}
	must(t, h.src.Drop(t.Context(), mark))
	if _, err := os.Stat(h.src.Path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
	half := filepath.Join(filepath.Dir(h.src.Path), ".auth.json.keytray-"+client.Short("put")) // of a killed writer
	must(t, os.WriteFile(half, []byte("token"), 0o600))
	must(t, h.src.Drop(t.Context(), mark))
	if _, err := os.Lstat(half); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what a killed writer left is there: %v", err)
	}
}

// TestPutWritesNothingTwice, so that the file's time stays.
func TestPutWritesNothingTwice(t *testing.T) {
	t.Parallel()
	h := newHome(t, "codex", "{}")
	mark := h.put(freshCodex, client.Mark{})
	before, err := os.Stat(h.src.Path)
	must(t, err)
	h.put(freshCodex, mark)
	after, err := os.Stat(h.src.Path)
	must(t, err)
	if !os.SameFile(before, after) {
		t.Error("the file was replaced by the same")
	}
}

// TestALoginOfTheOwnersStays: one that renews itself, and a key that is not ours.
func TestALoginOfTheOwnersStays(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct{ program, file, fresh string }{
		"a login of Codex":     {"codex", codexFile, freshCodex},
		"a key of Codex":       {"codex", `{"OPENAI_API_KEY":"sk-theirs"}`, freshKey},
		"a token of Codex":     {"codex", `{"personal_access_token":"at-theirs"}`, freshCodex},
		"a login of Claude":    {"claude", `{"claudeAiOauth":{"accessToken":"a","refreshToken":"r"}}`, freshClaude},
		"pi's of that name":    {"pi", `{"openai-codex":{"type":"oauth","access":"a","refresh":"r"}}`, freshPi},
		"what nobody can read": {"codex", `{"tokens":1}`, freshCodex},
	} {
		h := newHome(t, c.program, c.file)
		err := h.src.Put(t.Context(), []byte(c.fresh), client.Mark{Members: []string{"OPENAI_API_KEY"}, Sums: []string{"other"}})
		if err == nil || h.text() != c.file {
			t.Errorf("%s: put: %v, and the file is %s", what, err, h.text())
		}
		if _, ok := errors.AsType[*client.OwnedError](err); !ok && c.file != `{"tokens":1}` {
			t.Errorf("%s: %v, want an OwnedError", what, err)
		}
		h.lockFree(c.program, filepath.Join(filepath.Dir(h.src.Path), "auth.json.lock"))
	}
}

// TestOurOwnKeyIsReplaced, and taken out, also if it is one of two that may be there.
func TestOurOwnKeyIsReplaced(t *testing.T) {
	t.Parallel()
	h := newHome(t, "codex", "{}")
	first := h.put(freshKey, client.Mark{})
	next := strings.ReplaceAll(freshKey, "ours", "newer")
	unsure, err := h.src.Mark([]byte(next))
	must(t, err)
	h.put(next, first.And(unsure))
	if !strings.Contains(h.text(), "sk-newer") {
		t.Errorf("the file is %s", h.text())
	}
	must(t, os.WriteFile(h.src.Path, []byte(`{"OPENAI_API_KEY":"sk-theirs"}`), 0o600))
	if err := h.src.Drop(t.Context(), first.And(unsure)); err == nil {
		t.Error("a key of somebody else's was taken out")
	}
	must(t, os.WriteFile(h.src.Path, []byte(freshKey), 0o600))
	must(t, h.src.Drop(t.Context(), first.And(unsure)))
}

// TestPutWaitsForTheOwner, for each of its locks.
func TestPutWaitsForTheOwner(t *testing.T) {
	t.Parallel()
	for program, locks := range map[string][]string{
		"codex":  {"auth.lock", "auth.json.lock"},
		"claude": {".oauth_refresh.lock", "../.claude.lock", ".storage-write.lock"},
		"pi":     {"auth.json.lock"},
	} {
		for _, name := range locks {
			h := newHome(t, program, "{}")
			path := filepath.Join(filepath.Dir(h.src.Path), name)
			release := take(t, program, path)
			done := make(chan error, 1)
			fresh := map[string]string{"codex": freshCodex, "claude": freshClaude, "pi": freshPi}[program]
			go func() { done <- h.src.Put(t.Context(), []byte(fresh), client.Mark{}) }()
			select {
			case err := <-done:
				t.Errorf("%s: put while %s is taken: %v", program, name, err)
			case <-t.Context().Done():
			case <-time.After(200 * time.Millisecond):
			}
			release()
			must(t, <-done)
			h.lockFree(program, path)
		}
	}
}

// TestFileIsWhereFindLooks.
func TestFileIsWhereFindLooks(t *testing.T) {
	t.Parallel()
	h := newHome(t, "codex", codexFile)
	got, err := client.File("codex", h.places())
	must(t, err)
	if got.Path != h.src.Path {
		t.Errorf("File = %s, want %s", got.Path, h.src.Path)
	}
	if _, err := client.File("emacs", h.places()); !errors.Is(err, client.ErrUnknownProgram) {
		t.Errorf("File of emacs: %v", err)
	}
}

// FuzzPut: whatever a file holds, either it is refused and stays, or what was put
// is there, nothing of the owner's is lost, and dropping it takes out only that.
func FuzzPut(f *testing.F) {
	f.Add([]byte(codexFile), false)
	f.Add([]byte(`{"tokens":{"access_token":"a","refresh_token":""},"x":[1,{"y":2}]}`), false)
	f.Add([]byte(`{"mcpOAuth":{},"claudeAiOauth":{"accessToken":"a"}}`), true)
	f.Add([]byte("{\n  \"a\": 1\n}\n"), true)
	f.Add([]byte(`{"OPENAI_API_KEY":"k"}`), false)
	f.Fuzz(func(t *testing.T, b []byte, isClaude bool) {
		program, fresh := "codex", freshCodex
		if isClaude {
			program, fresh = "claude", freshClaude
		}
		h := newHome(t, program, string(b))
		mark, err := h.src.Mark([]byte(fresh))
		must(t, err)
		if err := h.src.Put(t.Context(), []byte(fresh), client.Mark{}); err != nil {
			if h.text() != string(b) {
				t.Errorf("refused (%v), and the file is %q", err, h.text())
			}
			return
		}
		var before, after map[string]json.RawMessage
		must(t, json.Unmarshal(b, &before))
		must(t, json.Unmarshal([]byte(h.text()), &after))
		for name := range before {
			if _, ok := after[name]; !ok && !slices.Contains(mark.Members, name) {
				t.Errorf("%q is lost from %q", name, b)
			}
		}
		if strings.Contains(h.text(), `"refresh_token":"r`) {
			t.Errorf("a refresh token is left: %q", h.text())
		}
		must(t, h.src.Drop(t.Context(), mark))
	})
}
