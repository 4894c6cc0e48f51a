package oauthtest

import (
	"maps"
	"slices"
	"time"
)

// Valid reports whether an access token would be accepted now.
func (s *Server) Valid(access string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.valid(access)
	return ok
}

func (s *Server) valid(access string) (*accessToken, bool) {
	t, ok := s.access[access]
	return t, ok && !t.family.revoked && time.Now().Before(t.expires)
}

// IsAccess reports whether a secret is an access token that was ever issued.
func (s *Server) IsAccess(secret string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.access[secret]
	return ok
}

// Secrets returns every code and token that was issued and every verifier that
// came, for a search that must not find them anywhere.
func (s *Server) Secrets() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Clone(s.verifiers)
	all = slices.AppendSeq(all, maps.Keys(s.codes))
	all = slices.AppendSeq(all, maps.Keys(s.devices))
	all = slices.AppendSeq(all, maps.Keys(s.refresh))
	return slices.AppendSeq(all, maps.Keys(s.access))
}
