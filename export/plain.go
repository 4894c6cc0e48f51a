package export

import "strings"

// plain is the bare token on one line: what command hooks of most programs
// expect.
func plain(it Item) ([]byte, error) { return []byte(it.Access.Reveal() + "\n"), nil }

// header is an HTTP header on one line: RFC 6750 §2.1, or the provider's own.
func header(it Item) ([]byte, error) { return []byte(headerOf(it) + "\n"), nil }

// curl is a config file for curl -K, which keeps the header out of the arguments
// that others can read. Within quotes curl takes a backslash for an escape.
func curl(it Item) ([]byte, error) {
	return []byte(`header = "` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(headerOf(it)) + "\"\n"), nil
}

func headerOf(it Item) string {
	if name := static(it).Header; name != "" {
		return name + ": " + it.Access.Reveal()
	}
	return "Authorization: Bearer " + it.Access.Reveal()
}
