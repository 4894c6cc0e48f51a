package main

import (
	"context"
	"net/http"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// zitadel is the example server of zitadel/oidc with its own pages, users and
// storage. A refresh deletes the token that was sent; its second use is refused,
// and the others live on. Access tokens live for five minutes.
func zitadel(issuer string, _ *ledger) (http.Handler, error) {
	storage.RegisterClients(storage.NativeClient(client, redirect))
	users := storage.NewUserStore(issuer)
	s := deviceStorage{storage.NewStorage(users), users}
	return exampleop.SetupServer(issuer, s, nil, false), nil
}

// deviceStorage lets native clients use the device grant as well, and knows users
// by their ids in there too: the example's page gives their names.
type deviceStorage struct {
	*storage.Storage
	users storage.UserStore
}

func (s deviceStorage) CompleteDeviceAuthorization(ctx context.Context, code, name string) error {
	return s.Storage.CompleteDeviceAuthorization(ctx, code, s.users.GetUserByUsername(name).ID)
}

func (s deviceStorage) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	c, err := s.Storage.GetClientByClientID(ctx, id)
	return deviceClient{c}, err
}

type deviceClient struct{ op.Client }

func (c deviceClient) GrantTypes() []oidc.GrantType {
	return append(c.Client.GrantTypes(), oidc.GrantTypeDeviceCode)
}
