package oauthtest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Browser plays the person who signs in, where there is no browser.
type Browser struct {
	// User is typed into the login page.
	User string
	// Deny says no there.
	Deny bool
}

// Page is where a [Browser] ended.
type Page struct {
	URL    string
	Status int
	Body   string
}

// Open follows an authorization URL through the login page to the page that
// Keytray shows in the end, so it blocks until the login is closed. It sends
// the headers that Chromium does.
func (b Browser) Open(ctx context.Context, authorizationURL string) (Page, error) {
	page, err := b.load(ctx, http.MethodGet, authorizationURL, "")
	if err != nil || !strings.Contains(page.Body, `name="decision"`) {
		return page, err
	}
	form := url.Values{"user": {b.User}, "decision": {"approve"}}
	if b.Deny {
		form.Set("decision", "deny")
	}
	return b.load(ctx, http.MethodPost, page.URL, form.Encode())
}

func (b Browser) load(ctx context.Context, method, target, form string) (Page, error) {
	req, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(form))
	if err != nil {
		return Page{}, err
	}
	if form != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	req.Header.Set("Sec-Fetch-Mode", "navigate")
	req.Header.Set("Sec-Fetch-Dest", "document")
	req.Header.Set("Accept", "text/html")
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(req)
	if err != nil {
		return Page{}, fmt.Errorf("opening the page: %w", withoutURL(err))
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	return Page{URL: answer.Request.URL.String(), Status: answer.StatusCode, Body: string(body)}, err
}

// withoutURL drops the URL that [http.Client] puts into its errors.
func withoutURL(err error) error {
	if ue, ok := err.(*url.Error); ok { //nolint:errorlint // http.Client.Do returns it bare
		return ue.Err
	}
	return err
}
