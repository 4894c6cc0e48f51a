package route_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/keytray/keytray/route"
)

func TestParseConfig(t *testing.T) {
	got, err := route.ParseConfig([]byte(`
// comments, names without quotes, single quotes, commas at the end
{
  meta: { lastTouchedVersion: '2026.3.13', /* more
  lines */ mask: 0xFF, big: +Infinity, },
  "auth": {
    profiles: {
      'anthropic:work': { provider: "anthropic", mode: 'oauth', email: 'me@example.org', },
      "anthropic:\x62ackup": { provider: 'anthropic', mode: 'api\
_key' },
      "anthropic:work": { provider: "anthropic", mode: 'token' },
    },
    order: { anthropic: ['anthropic:work', "anthropic:b\u0061ckup",], "x": [] },
    cooldowns: { billingBackoffHours: .5 },
  },
  agents: { list: [{ id: 'work', agentDir: '~/work' }, { id: 'plain' }, 7], entries: { home: { agentDir: '/home' }, odd: 'x' } },
}`))
	want := route.Config{
		Order:    []route.ConfigOrder{{"anthropic", []string{"anthropic:work", "anthropic:backup"}}, {"x", []string{}}},
		Profiles: []route.ConfigProfile{{"anthropic:work", "anthropic", "token"}, {"anthropic:backup", "anthropic", "api_key"}},
		Agents:   []route.ConfigAgent{{"work", "~/work"}, {"home", "/home"}},
		Version:  "2026.3.13",
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("ParseConfig = %+v, %v, want %+v", got, err, want)
	}
}

// value is how a text reads where auth.order has an id.
func value(text string) (string, error) {
	c, err := route.ParseConfig([]byte(`{auth:{order:{p:[` + text + `]}}}`))
	if err != nil || len(c.Order[0].IDs) != 1 {
		return "", errors.Join(err, errors.New("not one value"))
	}
	return c.Order[0].IDs[0], nil
}

func TestJSON5Strings(t *testing.T) {
	for text, want := range map[string]string{
		`"a"`: "a", `'a"b'`: `a"b`, `"a'b"`: "a'b", `'\'\"\\\/'`: `'"\/`, `'\b\f\n\r\t\v\0'`: "\b\f\n\r\t\v\x00",
		`'\x41\u00e9'`: "Aé", `'\ud83d\ude00'`: "😀", `'\ud83d'`: "�", `'\ud83d\u0041'`: "�A", `'\a\q'`: "aq",
		"'a\\\nb\\\r\nc\\\rd\\\u2028e'": "abcde", "'a\u2028b'": "a\u2028b", "'a' // b\n": "a", "/**/'a'/* ' */,": "a", "\ufeff\u00a0'a'": "a",
	} {
		if got, err := value(text); err != nil || got != want {
			t.Errorf("%s reads as %q (%v), want %q", text, got, err, want)
		}
	}
}

func TestWhatIsNotJSON5(t *testing.T) {
	for _, text := range []string{
		"'a", "'a\nb'", `'\1'`, `'\01'`, `'\x4'`, `'\u12'`, `'\`, "'a' 'b'", ",", "'a',,", ",'a'", "a", "nul", "01", "0x", "+", "--1", "1.2.3", ".", "'a'}", "/*", "/", "'a' /x",
		"{a 1}", "{1: 2}", "{a: 1, , b: 2}", "{,}", "{a-b: 1}", `{\x41: 1}`, "[1 2]", "undefined", "{a}", "{:1}", "`a`",
	} {
		if got, err := value(text); err == nil {
			t.Errorf("%s reads as %q, want an error", text, got)
		}
	}
	for _, text := range []string{"1", "-1.5e3", ".5", "5.", "+1", "0xfF", "-Infinity", "NaN", "{a: 1, $b_c: 2, \\u0061\\u200d: 3, é: 4, true: 5,}", "[[], {}, null, true, false]"} {
		if _, err := route.ParseConfig([]byte("{other: " + text + ", auth: {}}")); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestASyntaxErrorTellsTheLine(t *testing.T) {
	for text, want := range map[string]int{"{\n\n'canary": 3, "{a: 'b\\\nc', /*\n*/ //\n 'canary' }": 4, "{\n'canary' 1}": 2, "{auth:\n{order:{p:['canary']}}} canary": 2} {
		_, err := route.ParseConfig([]byte(text))
		e, ok := errors.AsType[*route.SyntaxError](err)
		if !ok || e.Line != want || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v, want line %d", text, err, want)
		}
	}
}

// Every JSON text is JSON5 and says the same; nothing crashes, however deep.
func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(`{auth: {order: {a: ['b',]}, profiles: {'a:b': {provider: "a", mode: 'token'}}}} // x`))
	f.Add([]byte(`{"auth": {"order": {"a": ["b\u2028\ud800"]}}, "n": [1e5, -0.5, true, null]}`))
	f.Add([]byte("\ufeff{'\\\r\n\\x41': +.5, b: 0x1F, c: -Infinity, /* */}"))
	f.Add([]byte(strings.Repeat("[", 20000)))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := route.ParseConfig(b)
		var plain struct {
			Auth struct {
				Order map[string][]string `json:"order"`
			} `json:"auth"`
		}
		if !json.Valid(b) || json.Unmarshal(b, &plain) != nil {
			return
		}
		if err != nil {
			if _, ok := errors.AsType[*route.SyntaxError](err); ok {
				t.Fatalf("%q is JSON and no JSON5: %v", b, err)
			}
			return // the other half of auth is odd
		}
		for _, o := range c.Order {
			if want := plain.Auth.Order[o.Provider]; len(want) != len(o.IDs) {
				t.Errorf("%q: order %q, want %q", b, o.IDs, want)
			}
		}
	})
}

// A model and its profile are parts of the text, and splitting the model again
// finds no other.
func FuzzSplitModel(f *testing.F) {
	for _, s := range []string{"Opus@anthropic:work", "a/b@20241022@q4_k_m@p:me@x.com", "@@", "a@ b", "x@8bit"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		model, profile := route.SplitModel(s)
		if profile == "" {
			if model != strings.TrimSpace(s) {
				t.Errorf("SplitModel(%q) = %q alone", s, model)
			}
			return
		}
		if model == "" || !strings.HasPrefix(strings.TrimSpace(s), model) || !strings.HasSuffix(strings.TrimSpace(s), profile) {
			t.Errorf("SplitModel(%q) = %q, %q", s, model, profile)
		}
		if again, more := route.SplitModel(model); more != "" {
			t.Errorf("SplitModel(%q) = %q, which splits again into %q, %q", s, model, again, more)
		}
	})
}
