package provider

import (
	"maps"
	"slices"
	"strings"
)

// Probe is a cheap request, a GET, by which a person has it checked whether a
// secret still works. It is never sent unasked.
type Probe struct {
	Endpoint string `json:"endpoint"`
	// Headers are sent along.
	Headers map[string]string `json:"headers,omitempty"`
}

// ourHeaders belong to the request and to the connection.
var ourHeaders = []string{"authorization", "connection", "content-length", "cookie", "host", "proxy-authorization", "transfer-encoding", "user-agent"}

// check reports the first field that cannot be used. AllowHTTP is that of the
// entry, secretHeader the one that takes the secret.
func (p *Probe) check(allowHTTP bool, secretHeader string) error {
	if p == nil {
		return nil
	}
	if problem := (OAuth{AllowHTTP: allowHTTP}).endpointProblem(p.Endpoint); problem != "" {
		return invalid("probe.endpoint", "%s", problem)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Headers)) {
		if !isHeader(name) || strings.EqualFold(name, secretHeader) {
			return invalid("probe.headers", "must not set %q", name)
		}
		if !clientPattern().MatchString(p.Headers[name]) {
			return invalid("probe.headers", "has no printable ASCII for %q", name)
		}
	}
	return nil
}

func isHeader(name string) bool {
	return isName(headerPattern, name) && !slices.Contains(ourHeaders, strings.ToLower(name))
}
