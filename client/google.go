package client

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"sync"

	"github.com/keytray/keytray/secret"
)

// ErrNoGoogleClient means that no Gemini CLI is installed, or one that does not
// say with which OAuth client it signs in.
var ErrNoGoogleClient = errors.New("no Gemini CLI was found whose client could be used")

// GoogleClient is the OAuth client of an installed program. What Google calls the
// secret of such a client is none, as everybody can read it there; but it is not
// ours to publish.
type GoogleClient struct {
	ID     string
	Secret secret.Text
	// From is the file that says so.
	From string
}

// Few need these, and to compile them takes a while.
var (
	googleID = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`\bOAUTH_CLIENT_ID\s*=\s*["']([0-9]{6,20}-[a-z0-9]{8,64}\.apps\.googleusercontent\.com)["']`)
	})
	googleSecret = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`\bOAUTH_CLIENT_SECRET\s*=\s*["'](GOCSPX-[A-Za-z0-9_-]{8,64})["']`)
	})
)

const (
	maxScript  = 64 << 20 // the bundle of 0.61 has 16 MB
	maxScripts = 200
)

// FindGoogleClient looks into the Gemini CLI that a search path finds first.
func FindGoogleClient(searchPath string) (GoogleClient, error) {
	for _, dir := range filepath.SplitList(searchPath) {
		program := filepath.Join(dir, "gemini")
		if runtime.GOOS == "windows" {
			program += ".cmd" // npm's; what it runs lies beside it
		}
		script, err := filepath.EvalSymlinks(program)
		if err != nil || !filepath.IsAbs(dir) {
			continue
		}
		for _, place := range googlePlaces(script) {
			if c, err := googleClientIn(place); err == nil {
				return c, nil
			}
		}
		break
	}
	return GoogleClient{}, ErrNoGoogleClient
}

// googlePlaces are the scripts that may say it: the bundle, and what it was made
// of in older versions.
func googlePlaces(script string) []string {
	bundle := filepath.Dir(script)
	core := filepath.Join("gemini-cli-core", "dist", "src", "code_assist", "oauth2.js")
	pkg := filepath.Dir(bundle)
	places := []string{
		filepath.Join(pkg, "node_modules", "@google", core), filepath.Join(filepath.Dir(pkg), core),
	}
	for _, dir := range []string{bundle, filepath.Join(bundle, "node_modules", "@google", "gemini-cli", "bundle")} {
		scripts, _ := filepath.Glob(filepath.Join(dir, "*.js")) // the pattern is a good one
		places = append(places, scripts[:min(len(scripts), maxScripts)]...)
	}
	return places
}

func googleClientIn(name string) (GoogleClient, error) {
	f, err := os.Open(name)
	if err != nil {
		return GoogleClient{}, fmt.Errorf("reading a script: %w", err)
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxScript))
	if err != nil {
		return GoogleClient{}, fmt.Errorf("reading a script: %w", err)
	}
	id, sec := googleID().FindSubmatch(b), googleSecret().FindSubmatch(b)
	if id == nil || sec == nil {
		return GoogleClient{}, ErrNoGoogleClient
	}
	return GoogleClient{string(id[1]), secret.New(string(sec[1])), name}, nil
}
