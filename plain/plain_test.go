package plain_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/keytray/keytray/plain"
)

func TestText(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"ada@example.com":         "ada@example.com",
		"名前 ünï":                  "名前 ünï",
		"a\x1b[31mred\x07\r\nb":   "a[31mredb",
		"evil\u202Etxt.exe\u2066": "eviltxt.exe",
		"zero\u200Bwidth\uFEFF":   "zerowidth",
		"tag\U000E0041":           "tag",
		"bad\xff\xfebytes":        "badbytes",
		"line\u2028para\u2029end": "lineparaend",
	} {
		if got := plain.Text(in); got != want {
			t.Errorf("Text(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestLine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in    string
		limit int
		want  string
	}{
		{"short", 10, "short"},
		{"exactly10!", 10, "exactly10!"},
		{"one more than that", 9, "one more…"},
		{"日本語のとても長い名前", 5, "日本語の…"},
		{"  padded \n", 20, "padded"},
	} {
		if got := plain.Line(c.in, c.limit); got != c.want {
			t.Errorf("Line(%q, %d) = %q, want %q", c.in, c.limit, got, c.want)
		}
	}
}

func FuzzLine(f *testing.F) {
	f.Add("a\u202Eb\x00", 3)
	f.Add(strings.Repeat("あ", 90), 64)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		limit = 1 + max(limit, -limit, 0)%1000
		got := plain.Line(s, limit)
		if n := utf8.RuneCountInString(got); n > limit || !utf8.ValidString(got) {
			t.Errorf("Line(%q, %d) = %q, %d characters", s, limit, got, n)
		}
		for _, r := range got {
			if unicode.Is(unicode.C, r) {
				t.Errorf("Line(%q, %d) = %q holds %U", s, limit, got, r)
			}
		}
	})
}
