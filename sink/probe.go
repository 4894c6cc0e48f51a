package sink

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
)

// probeSize is that of a large login: an access token of 4 KiB.
const probeSize = 4 << 10

// Ready reports whether a login could be saved: in this root, and in the keychain,
// by [Store.Probe]. It is for the time before a person is asked to sign in.
func (s *Store) Ready(ctx context.Context) error {
	if err := s.CheckRoot(); err != nil {
		return err
	}
	return s.Probe(ctx)
}

// Probe writes, reads back and deletes an item of a real login's size.
func (s *Store) Probe(ctx context.Context) error {
	name := "probe." + strings.ToLower(rand.Text())
	err := s.secrets.Set(ctx, name, []byte(strings.Repeat("keytray ", probeSize/8)))
	if err != nil {
		return fmt.Errorf("trying the keychain: %w", err)
	}
	if err := s.secrets.Delete(context.WithoutCancel(ctx), name); err != nil {
		return fmt.Errorf("trying the keychain: %w", err)
	}
	return nil
}
