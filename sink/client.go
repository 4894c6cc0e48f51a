package sink

import (
	"context"
	"errors"
	"fmt"

	"github.com/keytray/keytray/secret"
)

// ErrNoClientKey means that the keychain has no secret of a client.
var ErrNoClientKey = errors.New("the client's secret is not in the keychain")

// ClientKey is the secret or key by which a client proves itself at the token
// endpoint that p names; ErrNoClientKey if there is none. It belongs to no login:
// several may be made with one client.
func (s *Store) ClientKey(ctx context.Context, p Pin) (secret.Text, error) {
	b, err := s.secrets.Get(ctx, clientItem(p))
	if absent(err) {
		return secret.Text{}, ErrNoClientKey
	}
	if err != nil {
		return secret.Text{}, fmt.Errorf("reading the client's secret: %w", err)
	}
	key, err := decodeClient(b)
	if err != nil {
		return secret.Text{}, ErrNoClientKey // nothing can be made of it, and a person has another
	}
	return key, nil
}

// SetClientKey keeps it, in place of an older one.
func (s *Store) SetClientKey(ctx context.Context, p Pin, key secret.Text) error {
	if err := s.secrets.Set(ctx, clientItem(p), encodeClient(key)); err != nil {
		return fmt.Errorf("keeping the client's secret: %w", err)
	}
	return nil
}

// DropClientKey removes it.
func (s *Store) DropClientKey(ctx context.Context, p Pin) error {
	if err := s.secrets.Delete(ctx, clientItem(p)); err != nil {
		return fmt.Errorf("removing the client's secret: %w", err)
	}
	return nil
}
