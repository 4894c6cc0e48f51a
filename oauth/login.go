package oauth

import (
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	"sync"
	"time"

	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/secret"
)

// How long a person may take: the first if the caller's context has no
// deadline, else at most the second.
const (
	defaultWait = 10 * time.Minute
	maxWait     = 15 * time.Minute
)

var (
	// ErrTimeout is returned by Wait when nobody signed in.
	ErrTimeout = errors.New("nobody signed in within the time allowed")
	// ErrNoBrowser means that the provider has no login through a browser here.
	ErrNoBrowser = errors.New("no sign-in through a browser on this machine")
)

// Why an answer was not taken; the wait goes on.
var (
	errOdd    = errors.New("not an answer to a sign-in")
	errState  = errors.New("this answer belongs to another sign-in (wrong state)")
	errIssuer = errors.New("this answer comes from another server (wrong issuer)")
	errUsed   = errors.New("this sign-in already has its answer")
)

// maxCode bounds an authorization code.
const maxCode = 4 << 10

// Login is one attempt to sign in. It waits for a person from [Client.StartLogin]
// on; its methods may be called from several goroutines, Wait only once.
type Login struct {
	// URL is what the browser must open. It holds the state: show it to the
	// person, and nobody else.
	URL string

	client   *Client
	provider provider.OAuth
	redirect string
	state    secret.Text
	verifier secret.Text
	nonce    secret.Text // empty if no ID token will be verified
	started  time.Time
	unheard  error // why there is no page
	page     *page // nil if there is no listener
	answers  chan answer
	closing  sync.Once

	mu sync.Mutex // guards used
	// used says that an answer was taken or the wait has ended.
	used bool
}

// answer is the one thing a login waits for.
type answer struct {
	code       secret.Text
	denied     error
	unverified bool
}

// StartLogin prepares a sign-in. When it returns, the redirect URI is being
// served (unless [Login.Listening] says otherwise) and URL can be opened. Close
// must be called in the end, whatever happens in between.
func (c *Client) StartLogin(ctx context.Context, p provider.OAuth) (*Login, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if p.AuthorizationEndpoint == "" {
		return nil, ErrNoBrowser
	}
	l := &Login{
		client:   c,
		provider: p,
		state:    secret.New(rand.Text()),
		verifier: secret.New(rand.Text() + rand.Text()), // 52 characters, RFC 7636 §4.1
		started:  time.Now(),
		answers:  make(chan answer, 1),
	}
	if p.JWKSURI != "" {
		l.nonce = secret.New(rand.Text())
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	listeners, port, err := listen(ctx, p.Redirect)
	l.unheard = err
	l.redirect = redirectURI(p.Redirect, port)
	l.URL, err = authorizationURL(p, l.redirect, l.state, l.verifier, l.nonce)
	if err != nil {
		closeAll(listeners)
		return nil, err
	}
	if l.unheard == nil {
		l.page = newPage(p.Redirect.Path, port, l.accept)
		l.page.serve(listeners)
	}
	return l, nil
}

// Listening returns nil, or why no browser can come back to us: a [*PortError]
// when every port is taken. The login then waits for Paste alone.
func (l *Login) Listening() error { return l.unheard }

// Wait blocks until somebody answered, and then exchanges the code, once: it is
// never sent again (RFC 6749 §4.1.2). It ends with [ErrTimeout] 10 minutes after
// the start, or 15 if ctx has a deadline of its own; with an [*Error] if the
// person or the server refused; with an error of package idtoken, [ErrNoAccount]
// or [ErrUserinfo]; or with ctx's error. See
// the package comment for a Token that comes with an error.
func (l *Login) Wait(ctx context.Context) (Token, error) {
	limit := defaultWait
	if _, ok := ctx.Deadline(); ok {
		limit = maxWait
	}
	timer := time.NewTimer(time.Until(l.started.Add(limit)))
	defer timer.Stop()
	select {
	case a := <-l.answers:
		return l.exchange(ctx, a)
	case <-timer.C:
		_ = l.take(nil)
		return Token{}, ErrTimeout
	case <-ctx.Done():
		_ = l.take(nil)
		return Token{}, ctx.Err()
	}
}

func (l *Login) exchange(ctx context.Context, a answer) (Token, error) {
	if a.denied != nil {
		return Token{}, a.denied
	}
	form := url.Values{
		"grant_type":    {"authorization_code"},
		"code":          {a.code.Reveal()},
		"code_verifier": {l.verifier.Reveal()},
		"redirect_uri":  {l.redirect},
	}
	t, err := l.client.grant(ctx, l.provider, form, l.provider.CodeJSON, a.code, l.verifier)
	t.StateUnverified = a.unverified
	if err != nil {
		return t, err
	}
	return l.client.signedIn(ctx, l.provider, t, l.nonce)
}

// accept takes the parameters of an authorization response (RFC 6749 §4.1.2,
// RFC 9207), if they are for this login and the first of their kind.
func (l *Login) accept(q url.Values) error {
	for _, values := range q {
		if len(values) != 1 {
			return errOdd
		}
	}
	if !l.state.Equal(secret.New(q.Get("state"))) {
		return errState
	}
	if iss, ok := q["iss"]; ok && iss[0] != l.provider.Issuer || !ok && l.provider.IssParameter {
		return errIssuer
	}
	if q.Has("code") == q.Has("error") {
		return errOdd
	}
	if q.Has("error") {
		return l.take(&answer{denied: denial(q.Get("error"), q.Get("error_description"))})
	}
	return l.acceptCode(q.Get("code"), false)
}

func (l *Login) acceptCode(code string, unverified bool) error {
	if code == "" || len(code) > maxCode || !isPrintable(code) {
		return errOdd
	}
	return l.take(&answer{code: secret.New(code), unverified: unverified})
}

// take gives the one answer to Wait; nil ends the wait without one.
func (l *Login) take(a *answer) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.used {
		return errUsed
	}
	l.used = true
	if a != nil {
		l.answers <- *a // has room for one
	}
	return nil
}

// Close ends the login and frees the port. A browser that waits for its answer
// is sent to a page that says how it went: well if err is nil, so that is only
// for a token that has been saved. It blocks until that page was fetched, at
// most 3 s. Further calls do nothing.
func (l *Login) Close(err error) {
	l.closing.Do(func() {
		_ = l.take(nil)
		if l.page != nil {
			l.page.close(err == nil)
		}
	})
}
