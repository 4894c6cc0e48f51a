package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/keytray/keytray/provider"
)

// clockTimeout is how long a server may take to tell the time.
const clockTimeout = 10 * time.Second

// errNoDate is an answer without a usable Date header.
var errNoDate = errors.New("the server does not tell the time")

// Skew asks the provider's server for the time, and returns by how much the
// clock of this machine is ahead of it, to about a second. The request says
// nothing of any login. It blocks at most 10 s.
func (c *Client) Skew(ctx context.Context, p provider.OAuth) (time.Duration, error) {
	if err := p.Validate(); err != nil {
		return 0, err
	}
	u, err := url.Parse(p.TokenEndpoint)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, clockTimeout)
	defer cancel()
	origin := url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/"}
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, origin.String(), http.NoBody)
	if err != nil {
		return 0, err
	}
	req.Header.Set("User-Agent", "keytray")
	asked := time.Now()
	answer, err := c.transport().RoundTrip(req)
	if err != nil {
		return 0, fmt.Errorf("asking %s for the time: %w", u.Host, err)
	}
	took := time.Since(asked)
	_ = answer.Body.Close()
	date, err := http.ParseTime(answer.Header.Get("Date"))
	if err != nil {
		return 0, fmt.Errorf("asking %s for the time: %w", u.Host, errNoDate)
	}
	// The header is cut to a second, and was written about half-way.
	return asked.Add(took / 2).Sub(date.Add(time.Second / 2)), nil
}

// CheckPorts reports whether a sign-in could listen for its browser: a
// [*PortError] if another program holds all ports that the provider allows. A
// provider that takes any port has nothing to check.
func CheckPorts(ctx context.Context, r provider.Redirect) error {
	if len(r.Ports) == 0 {
		return nil
	}
	listeners, _, err := listen(ctx, r)
	closeAll(listeners)
	return err
}
