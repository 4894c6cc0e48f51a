package wire_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/keytray/keytray/oauth/wire"
)

// A redirect is an answer like any other: it is not followed.
func ExampleClient_Get() {
	server := httptest.NewServer(http.RedirectHandler("https://elsewhere.example/", http.StatusFound))
	defer server.Close()
	a, err := wire.Client{}.Get(context.Background(), server.URL, nil)
	fmt.Println(a.Status, a.OK(), err)
	// Output: 302 false <nil>
}
