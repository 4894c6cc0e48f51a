package notify

import (
	"encoding/xml"
	"errors"
	"strings"
	"testing"
	"unicode"
)

func TestOneLineAndLines(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, lines, line string }{
		{"", "", ""},
		{"Sign-in needed", "Sign-in needed", "Sign-in needed"},
		{" \n padded\t\n", "padded", "padded"},
		{"two\nlines", "two\nlines", "two lines"},
		{"tab\tand\r\n\nreturn", "tab and\n\nreturn", "tab and return"},
		{"a\x00b\x1b[31mc", "ab[31mc", "ab[31mc"},
		{"alice\u202egro.elpmaxe\u2066\n\u200f\ufeff", "alicegro.elpmaxe\n", "alicegro.elpmaxe"},
		{"<b>&amp;", "<b>&amp;", "<b>&amp;"},
		{"Österreich, twenty ch", "Österreich, twenty…", "Österreich, twenty…"},
		{"Österreich, twenty c", "Österreich, twenty c", "Österreich, twenty c"},
		{"ten and\nten and more\nmore", "ten and\nten and mor…", "ten and ten and mor…"},
		{"exactly twenty chars\nmore", "exactly twenty char…", "exactly twenty char…"},
	} {
		if got := lines(c.text, 20); got != c.lines {
			t.Errorf("lines(%q) = %q, want %q", c.text, got, c.lines)
		}
		if got := oneLine(c.text, 20); got != c.line {
			t.Errorf("oneLine(%q) = %q, want %q", c.text, got, c.line)
		}
	}
}

func FuzzLines(f *testing.F) {
	for _, s := range []string{"", "a\nb", "\u202e\x00\xff", strings.Repeat("é\n", 50), "\t \n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := lines(s, 20)
		if n := len([]rune(got)); n > 20 {
			t.Errorf("lines(%q) has %d characters", s, n)
		}
		for _, r := range got {
			if r != '\n' && (!unicode.IsGraphic(r) || unicode.Is(unicode.Cf, r)) {
				t.Errorf("lines(%q) has %U", s, r)
			}
		}
		if strings.Contains(oneLine(s, 20), "\n") {
			t.Errorf("oneLine(%q) has two lines", s)
		}
	})
}

func TestReasonsAreErrNoServer(t *testing.T) {
	t.Parallel()
	if !errors.Is(errSilent, ErrNoServer) || errors.Is(errClosed, ErrNoServer) {
		t.Error("errSilent is one, errClosed is none")
	}
}

func TestToast(t *testing.T) {
	t.Parallel()
	got, err := toastXML(Notice{
		Cause: "openai:alice&\"", Title: "Sign-in <needed>", Body: "two\n\"lines\" ]]> $(calc)",
		Actions: []Action{{"login", "Sign in"}, {"", "none"}}, Click: Action{ID: "open"},
	})
	want := `<toast activationType="foreground" launch="action=open&amp;cause=openai%3Aalice%26%22"><visual>` +
		`<binding template="ToastGeneric"><text>Sign-in &lt;needed&gt;</text><text>two&#xA;&#34;lines&#34; ]]&gt; $(calc)</text></binding></visual>` +
		`<audio silent="true"></audio><actions><action activationType="foreground" content="Sign in"` +
		` arguments="action=login&amp;cause=openai%3Aalice%26%22"></action></actions></toast>`
	if err != nil || got != want {
		t.Errorf("toastXML() = %v\n%s\nwant\n%s", err, got, want)
	}
	got, err = toastXML(Notice{Title: "Signed in"})
	want = `<toast activationType="foreground"><visual><binding template="ToastGeneric">` +
		`<text>Signed in</text><text></text></binding></visual><audio silent="true"></audio></toast>`
	if err != nil || got != want {
		t.Errorf("toastXML() = %v\n%s\nwant\n%s", err, got, want)
	}
}

// FuzzToast reads what it wrote: no text becomes markup, and what is pressed
// comes back.
func FuzzToast(f *testing.F) {
	f.Add("Sign-in needed", "two\nlines", "openai:alice", "login")
	f.Add("]]></text>", "<!--", "&cause=x", "a;b=%")
	f.Add("\x00\xff", "\ufffe", "\xff", "\x00")
	f.Fuzz(func(t *testing.T, title, body, cause, action string) {
		text, err := toastXML(Notice{Cause: cause, Title: title, Body: body, Actions: []Action{{action, title}}})
		if err != nil {
			t.Fatal(err)
		}
		var got toast
		if err := xml.Unmarshal([]byte(text), &got); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if texts := got.Template.Texts; len(texts) != 2 || texts[0] != oneLine(title, titleLimit) || texts[1] != lines(body, bodyLimit) {
			t.Errorf("texts %q", texts)
		}
		if action == "" {
			return
		}
		if c, a := pressed(got.Actions.Action[0].Arguments); c != cause || a != action {
			t.Errorf("pressed() = %q, %q, want %q, %q", c, a, cause, action)
		}
	})
}

func FuzzPressed(f *testing.F) {
	for _, s := range []string{"", "action=login&cause=a", "%", "a;b", "action=1&action=2", "=&=&="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		cause, action := pressed(s)
		if action == "" {
			return
		}
		if c, a := pressed(toastArguments(cause, Action{ID: action})); c != cause || a != action {
			t.Errorf("pressed(%q) = %q, %q, and again %q, %q", s, cause, action, c, a)
		}
	})
}
