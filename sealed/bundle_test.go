package sealed_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/keytray/keytray/sealed"
	"github.com/keytray/keytray/secret"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func lent() sealed.Bundle {
	return sealed.Bundle{
		ID: "ABCDEFGHIJKLMNOPQRSTUVWXYZ", From: "laptop", Made: noon, NotAfter: noon.Add(time.Hour),
		Logins: []sealed.Login{{Profile: "demo:ada", Provider: "demo", Kind: "token", Access: secret.New("access-canary"), Expires: noon.Add(time.Hour), Email: "ada@example.test"}},
	}
}

func moved() sealed.Bundle {
	b := lent()
	b.Move, b.NotAfter = true, time.Time{}
	l := &b.Logins[0]
	l.Kind, l.Refresh, l.TokenEndpoint, l.Client = "oauth", secret.New("refresh-canary"), "https://as.example/token", "keytray"
	return b
}

func addressed(tb testing.TB, keys ...sealed.Key) sealed.Address {
	tb.Helper()
	var public []string
	for _, k := range keys {
		public = append(public, k.Public())
	}
	to, err := sealed.ParseAddress(public)
	if err != nil {
		tb.Fatal(err)
	}
	return to
}

// TestABundleComesOutAsItWentIn, for each of its recipients and nobody else, and
// shows nothing on the way.
func TestABundleComesOutAsItWentIn(t *testing.T) {
	t.Parallel()
	a, b, stranger := newKey(t), newKey(t), newKey(t)
	for _, want := range []sealed.Bundle{lent(), moved()} {
		box, err := want.Seal(addressed(t, a, b))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(box, []byte("canary")) || !bytes.HasPrefix(box, []byte("-----BEGIN AGE ENCRYPTED FILE-----")) {
			t.Errorf("sealed: %.60s", box)
		}
		for _, k := range []sealed.Key{a, b} {
			got, err := sealed.Open(box, k.Keys(), noon)
			if err != nil {
				t.Fatal(err)
			}
			l, w := got.Logins[0], want.Logins[0]
			if !l.Access.Equal(w.Access) || !l.Refresh.Equal(w.Refresh) {
				t.Error("a token came out as another")
			}
			l.Access, l.Refresh, w.Access, w.Refresh = secret.Text{}, secret.Text{}, secret.Text{}, secret.Text{}
			if l != w || got.ID != want.ID || got.From != want.From || got.Move != want.Move || !got.Made.Equal(want.Made) || !got.NotAfter.Equal(want.NotAfter) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		}
		if _, err := sealed.Open(box, stranger.Keys(), noon); !errors.Is(err, sealed.ErrNotForUs) {
			t.Errorf("a stranger: %v, want %v", err, sealed.ErrNotForUs)
		}
	}
}

func TestABundleExpires(t *testing.T) {
	t.Parallel()
	k := newKey(t)
	box, err := lent().Seal(addressed(t, k))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sealed.Open(box, k.Keys(), noon.Add(time.Hour)); err != nil {
		t.Errorf("in its last moment: %v", err)
	}
	if _, err := sealed.Open(box, k.Keys(), noon.Add(time.Hour+time.Second)); !errors.Is(err, sealed.ErrExpired) {
		t.Errorf("after its time: %v, want %v", err, sealed.ErrExpired)
	}
}

// TestWhatIsCutOrChangedDoesNotOpen, at any byte.
func TestWhatIsCutOrChangedDoesNotOpen(t *testing.T) {
	t.Parallel()
	k := newKey(t)
	box, err := lent().Seal(addressed(t, k))
	if err != nil {
		t.Fatal(err)
	}
	for i := range bytes.TrimSpace(box) {
		changed := bytes.Clone(box)
		changed[i] ^= 1
		for _, b := range [][]byte{box[:i], changed} {
			if _, err := sealed.Open(b, k.Keys(), noon); err == nil {
				t.Fatalf("cut or changed at byte %d of %d, and opened", i, len(box))
			}
		}
	}
}

// TestNothingIsSealedThatCouldNotBeOpened: above all nothing that renews a login
// which is lent, and nothing else in a move.
func TestNothingIsSealedThatCouldNotBeOpened(t *testing.T) {
	t.Parallel()
	to := addressed(t, newKey(t))
	for name, spoil := range map[string]func(*sealed.Bundle){
		"a refresh token in a loan":  func(b *sealed.Bundle) { b.Logins[0].Refresh = secret.New("r") },
		"no login":                   func(b *sealed.Bundle) { b.Logins = nil },
		"no name":                    func(b *sealed.Bundle) { b.Logins[0].Profile = "" },
		"a control character":        func(b *sealed.Bundle) { b.From = "a\x1b[2J" },
		"a token of two lines":       func(b *sealed.Bundle) { b.Logins[0].Access = secret.New("a\nb") },
		"no token":                   func(b *sealed.Bundle) { b.Logins[0].Access = secret.Text{} },
		"another kind":               func(b *sealed.Bundle) { b.Logins[0].Kind = "oauth" },
		"no id":                      func(b *sealed.Bundle) { b.ID = "" },
		"a move without its renewal": func(b *sealed.Bundle) { *b = moved(); b.Logins[0].Refresh = secret.Text{} },
		"a move that expires":        func(b *sealed.Bundle) { *b = moved(); b.NotAfter = noon },
		"a move of two":              func(b *sealed.Bundle) { *b = moved(); b.Logins = append(b.Logins, b.Logins[0]) },
		"a move to nowhere":          func(b *sealed.Bundle) { *b = moved(); b.Logins[0].TokenEndpoint = "" },
	} {
		b := lent()
		spoil(&b)
		if _, err := b.Seal(to); !errors.Is(err, sealed.ErrForeign) {
			t.Errorf("%s: %v, want %v", name, err, sealed.ErrForeign)
		}
	}
}

// TestWhatIsSealedByOthersIsJudged: everybody can seal for a recipient.
func TestWhatIsSealedByOthersIsJudged(t *testing.T) {
	t.Parallel()
	k := newKey(t)
	for plain, want := range map[string]error{
		"":                            sealed.ErrForeign,
		"hello":                       sealed.ErrForeign,
		`{}`:                          sealed.ErrForeign,
		`{"format":"other"}`:          sealed.ErrForeign,
		`{"format":"keytray-sealed"}`: sealed.ErrForeign,
		`{"format":"keytray-sealed","schemaVersion":2,"news":1}`: sealed.ErrNewer,
		good + "{}": sealed.ErrForeign,
		good + "\n": nil,
		strings.Replace(good, `"move":false`, `"move":false,"more":1`, 1): sealed.ErrForeign,
	} {
		if _, err := sealed.Open(sealFor(t, k.Public(), []byte(plain)), k.Keys(), noon); !errors.Is(err, want) {
			t.Errorf("%.60s: %v, want %v", plain, err, want)
		}
	}
}

const good = `{"format":"keytray-sealed","schemaVersion":1,"id":"ABCDEFGHIJKLMNOPQRSTUVWXYZ","from":"laptop","made":1772366400000,"move":false,` +
	`"logins":[{"profile":"demo:ada","provider":"demo","kind":"token","access":"a"}]}`

// FuzzDecode: whatever was sealed, it is a bundle that could have been sealed here,
// or an error that quotes nothing of it.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(strings.Replace(strings.Replace(good, `"move":false`, `"move":true`, 1), `"kind":"token"`, `"kind":"oauth","refresh":"r","tokenEndpoint":"t"`, 1)))
	f.Add([]byte(`{"format":"keytray-sealed","schemaVersion":2}`))
	f.Add([]byte(`{"format":"keytray-sealed","schemaVersion":1,"logins":null}`))
	f.Add([]byte("{\"format\":\"keytray-sealed\",\"from\":\"\\u0000\"}"))
	to := addressed(f, newKey(f))
	f.Fuzz(func(t *testing.T, plain []byte) {
		b, err := sealed.Decode(plain)
		if err != nil {
			if !errors.Is(err, sealed.ErrForeign) && !errors.Is(err, sealed.ErrNewer) {
				t.Errorf("%v", err)
			}
			return
		}
		for _, l := range b.Logins {
			if !b.Move && !l.Refresh.Empty() {
				t.Error("what renews a login was lent")
			}
		}
		if _, err := b.Seal(to); err != nil {
			t.Errorf("what was decoded cannot be sealed: %v", err)
		}
		if s := fmt.Sprintf("%+v", b); len(b.Logins[0].Access.String()) == 0 || strings.Contains(s, "\x1b") {
			t.Error("it shows what plays tricks")
		}
	})
}
