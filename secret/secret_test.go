package secret_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/keytray/keytray/secret"
)

const canary = "rt_CANARY-8f3a71"

type exported struct{ Token secret.Text }

type unexported struct{ token secret.Text }

type nested struct {
	In  exported
	ptr *unexported
}

// shapes are the ways in which a secret may sit inside something printed.
func shapes() map[string]any {
	t := secret.New(canary)
	return map[string]any{
		"value":             t,
		"pointer":           &t,
		"exported":          exported{t},
		"exported pointer":  &exported{t},
		"unexported":        unexported{t},
		"unexported ptr":    &unexported{t},
		"nested":            nested{exported{t}, &unexported{t}},
		"map value":         map[string]secret.Text{"k": t},
		"map of struct":     map[string]unexported{"k": {t}},
		"slice":             []secret.Text{t},
		"slice of pointers": []*secret.Text{&t},
		"array":             [1]unexported{{t}},
		"any":               []any{t, &t, unexported{t}},
		"error":             fmt.Errorf("refreshing: %w", errors.New(fmt.Sprint(t))),
		"joined":            errors.Join(fmt.Errorf("a %v", t), fmt.Errorf("b %+v", unexported{t})),
	}
}

func TestNothingShowsASecret(t *testing.T) {
	for name, v := range shapes() {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p"} {
			check(t, name+" "+verb, fmt.Sprintf(verb, v))
		}
		check(t, name+" Sprint", fmt.Sprint(v))
		if b, err := json.Marshal(v); err == nil {
			check(t, name+" json", string(b))
		}
		if b, err := xml.Marshal(v); err == nil {
			check(t, name+" xml", string(b))
		}
		var out bytes.Buffer
		for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			l := slog.New(h)
			l.Info("msg", "v", v)
			l.With("w", v).WithGroup("g").Info("msg", slog.Group("h", slog.Any("v", v)))
		}
		check(t, name+" slog", out.String())
	}
}

func check(t *testing.T, what, got string) {
	t.Helper()
	hexed := fmt.Sprintf("%x", canary)
	if strings.Contains(got, canary) || strings.Contains(strings.ToLower(got), hexed) {
		t.Errorf("%s shows the secret: %s", what, got)
	}
}

func TestRevealAndEqual(t *testing.T) {
	a, b := secret.New(canary), secret.New(strings.Clone(canary))
	if a.Reveal() != canary {
		t.Errorf("Reveal() = %q, want the value", a.Reveal())
	}
	if !a.Equal(b) || a.Equal(secret.New("x")) || a.Equal(secret.Text{}) {
		t.Error("Equal does not compare values")
	}
	if !secret.New("").Empty() || !(secret.Text{}).Empty() || a.Empty() {
		t.Error("Empty is wrong")
	}
}

func ExampleText() {
	token := secret.New("rt_0123456789")
	fmt.Printf("%v %+v %q\n", token, token, token)
	// Output: [redacted] [redacted] [redacted]
}
