package export

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"
)

// DockerNotFound is what docker takes for the answer that there is no such
// credential, with exit code 1
// (https://github.com/docker/docker-credential-helpers#development).
const DockerNotFound = "credentials not found in native keychain"

// ErrDockerRequest is a request that is not understood.
var ErrDockerRequest = errors.New("not a request of docker's")

const dockerLimit = 4 << 10

// ReadServer reads for which registry docker wants a credential: a URL or HOST[:PORT].
func ReadServer(r io.Reader) (string, error) {
	b, err := io.ReadAll(io.LimitReader(r, dockerLimit+1))
	if err != nil {
		return "", fmt.Errorf("reading the request: %w", err)
	}
	server := strings.TrimSpace(string(b))
	switch {
	case len(b) > dockerLimit:
		return "", fmt.Errorf("%w: it is too long", ErrDockerRequest)
	case server == "":
		return "", fmt.Errorf("%w: it names no registry", ErrDockerRequest)
	case strings.ContainsFunc(server, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return "", fmt.Errorf("%w: it is more than one word", ErrDockerRequest)
	}
	return server, nil
}

// RegistryHosts are the servers that a registry may be, without the path that some
// are known by: docker names one without a scheme, also where it will use http.
func RegistryHosts(server string) []string {
	scheme, rest, ok := strings.Cut(server, "://")
	if !ok {
		rest = server
	}
	host, _, _ := strings.Cut(rest, "/")
	if !ok {
		return []string{"https://" + host, "http://" + host}
	}
	return []string{scheme + "://" + host}
}

// Docker answers for a registry. It would take a token beside the name <token> for
// a refresh token; so there is always another name.
func Docker(server, user string) Spec {
	return Spec{Name: "docker", text: func(it Item) ([]byte, error) {
		return encode(struct {
			ServerURL, Username, Secret string
		}{server, RegistryUser(user), it.Access.Reveal()}, "")
	}}
}

// RegistryUser is the name beside a token, where none is wanted in particular.
func RegistryUser(user string) string { return cmp.Or(user, "oauth2") }

// DockerList is the answer to which registries there are, with their user names.
func DockerList(w io.Writer, users map[string]string) error {
	b, err := encode(users, "")
	if err != nil {
		return err
	}
	if _, err := w.Write(b); err != nil {
		return fmt.Errorf("writing the list: %w", err)
	}
	return nil
}
