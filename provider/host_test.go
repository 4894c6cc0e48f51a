package provider_test

import (
	"testing"

	"github.com/keytray/keytray/provider"
)

func TestParseHost(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]provider.Host{
		"git.acme.test":                {Scheme: "https", Name: "git.acme.test", Port: "443"},
		"https://Git.Acme.Test/":       {Scheme: "https", Name: "git.acme.test", Port: "443"},
		"git.acme.test:8443":           {Scheme: "https", Name: "git.acme.test", Port: "8443"},
		"oauth2@git.acme.test":         {Scheme: "https", Name: "git.acme.test", Port: "443", User: "oauth2"},
		"http://127.0.0.1:8080":        {Scheme: "http", Name: "127.0.0.1", Port: "8080"},
		"http://[::1]":                 {Scheme: "http", Name: "::1", Port: "80"},
		"x-access-token@[2001:db8::1]": {Scheme: "https", Name: "2001:db8::1", Port: "443", User: "x-access-token"},
	} {
		got, err := provider.ParseHost(s)
		if err != nil || got != want {
			t.Errorf("ParseHost(%q) = %+v, %v, want %+v", s, got, err, want)
		}
	}
	for _, s := range []string{
		"", "https://", "http://git.acme.test", "ssh://git.acme.test", "git.acme.test/x", "git.acme.test?x", "a b", "a\nb",
		"user:pw@git.acme.test", "a%0ab@git.acme.test", "us%3aer@git.acme.test", "*.acme.test", "git.acme.test#x", "git.acme.test:x",
	} {
		if got, err := provider.ParseHost(s); err == nil {
			t.Errorf("ParseHost(%q) = %+v, want an error", s, got)
		}
	}
}

func TestHostsAreOneServerByAllButTheUser(t *testing.T) {
	t.Parallel()
	named, _ := provider.ParseHost("https://me@127.0.0.1:8080")
	for s, want := range map[string]bool{
		"127.0.0.1:8080": true, "you@127.0.0.1:8080": true,
		"http://127.0.0.1:8080": false, "127.0.0.1": false, "127.0.0.2:8080": false,
	} {
		asked, err := provider.ParseHost(s)
		if err != nil || named.Is(asked) != want {
			t.Errorf("%s is %s: %v, %v, want %v", named, s, named.Is(asked), err, want)
		}
	}
}

func FuzzParseHost(f *testing.F) {
	for _, s := range []string{"git.acme.test", "http://u@[::1]:80", "a%0ab@x", "https://x/", "HTTPS://X:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, err := provider.ParseHost(s)
		if err != nil {
			return
		}
		again, err := provider.ParseHost(h.String())
		if err != nil || again != h {
			t.Errorf("ParseHost(%q) = %+v, whose text %q is %+v, %v", s, h, h.String(), again, err)
		}
	})
}
