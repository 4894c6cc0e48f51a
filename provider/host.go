package provider

import (
	"net"
	"net/url"
	"regexp"
	"strings"
	"sync"
)

// Host is a server that takes a provider's access tokens in place of a password:
// of git repositories, of container images.
type Host struct {
	// Scheme is "https", or "http" for a server on this machine.
	Scheme string
	// Name is in lower case, Port never empty.
	Name, Port string
	// User is the name that the server wants beside a token; empty where any will do.
	User string
}

// ParseHost reads [https://][USER@]HOST[:PORT]. Its error, a [*FieldError], does not
// repeat s, which may hold a password that someone put there.
func ParseHost(s string) (Host, error) {
	h, problem := parseHost(s)
	if problem != "" {
		return Host{}, invalid("host", "%s", problem)
	}
	return h, nil
}

func parseHost(s string) (h Host, problem string) {
	if !strings.Contains(s, "://") {
		s = "https://" + s
	}
	u, err := url.Parse(s)
	if err != nil || u.Opaque != "" || !namePattern().MatchString(u.Hostname()) {
		return Host{}, "is not the name of a host"
	}
	h = Host{Scheme: u.Scheme, Name: strings.ToLower(u.Hostname()), Port: u.Port(), User: u.User.Username()}
	if h.Port == "" {
		h.Port = h.usualPort()
	}
	_, password := u.User.Password()
	switch {
	case strings.Trim(u.Path, "/") != "" || strings.ContainsAny(s, "?#"):
		return Host{}, "must not have a path"
	case password || strings.Contains(h.User, ":"):
		return Host{}, "must not have a password"
	case strings.ContainsFunc(h.User, func(r rune) bool { return r <= ' ' || r > '~' }):
		return Host{}, "has a user name that cannot be sent"
	case h.Scheme != "https" && (h.Scheme != "http" || !isLoopback(h.Name)):
		return Host{}, "must be https, because a token is sent there (http is for a server on this machine)"
	}
	return h, ""
}

// namePattern is a name or an address, without brackets.
var namePattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9._:-]+$`) })

func (h Host) usualPort() string {
	if h.Scheme == "http" {
		return "80"
	}
	return "443"
}

// Is reports whether both are one server, whatever the user names.
func (h Host) Is(other Host) bool {
	return h.Scheme == other.Scheme && h.Name == other.Name && h.Port == other.Port
}

// Address is HOST[:PORT], as the URLs of the server have it.
func (h Host) Address() string {
	address := net.JoinHostPort(h.Name, h.Port)
	if h.Port == h.usualPort() {
		return strings.TrimSuffix(address, ":"+h.Port)
	}
	return address
}

// String is what ParseHost reads.
func (h Host) String() string {
	user := ""
	if h.User != "" {
		user = url.User(h.User).String() + "@"
	}
	if h.Scheme == "https" {
		return user + h.Address()
	}
	return h.Scheme + "://" + user + h.Address()
}
