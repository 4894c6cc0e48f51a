package route

import (
	"errors"
	"regexp"
	"strings"
	"sync"
)

// ErrBareModel means that a model's name does not tell its provider.
var ErrBareModel = errors.New("the model's name does not say whose it is")

var (
	versionSuffix = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^\d{8}(@|$)`) })
	quantSuffix   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?i)^(i?q\d+(_[a-z0-9]+)*|\d+bit)(@|$)`) })
)

// SplitModel splits Model@profile. The profile begins behind the first @ that
// follows the last slash; the @ of a date (@20241022) or of a quantisation
// (@q4_k_m, @8bit) belongs to the model. Without a profile, s is the model.
func SplitModel(s string) (model, profile string) {
	s = strings.TrimSpace(s)
	at := nextAt(s, strings.LastIndexByte(s, '/')+1)
	if at <= 0 {
		return s, ""
	}
	if versionSuffix().MatchString(s[at+1:]) {
		at = nextAt(s, at+9)
	}
	if at > 0 && quantSuffix().MatchString(s[at+1:]) {
		at = nextAt(s, at+1)
	}
	if at <= 0 {
		return s, ""
	}
	model, profile = strings.TrimSpace(s[:at]), strings.TrimSpace(s[at+1:])
	if model == "" || profile == "" {
		return s, ""
	}
	return model, profile
}

// nextAt is the index of the first @ at from or later, -1 if there is none.
func nextAt(s string, from int) int {
	if i := strings.IndexByte(s[from:], '@'); i >= 0 {
		return from + i
	}
	return -1
}

// ModelProvider splits provider/model; ErrBareModel if no provider is named.
func ModelProvider(model string) (provider, name string, err error) {
	provider, name, ok := strings.Cut(model, "/")
	provider, name = strings.TrimSpace(provider), strings.TrimSpace(name)
	if !ok || provider == "" || name == "" {
		return "", "", ErrBareModel
	}
	return provider, name, nil
}

// ModelOf is the name of a provider's model without the provider.
func ModelOf(model, provider string) string {
	if p, name, ok := strings.Cut(model, "/"); ok && SameProvider(p, provider) {
		return name
	}
	return model
}
