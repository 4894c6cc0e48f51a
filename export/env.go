package export

import (
	"io"
	"strings"
)

// Env is a line for a POSIX shell's eval. The variable's name is made of the
// provider's id: openai-codex gives OPENAI_CODEX_TOKEN.
func Env(w io.Writer, it Item) error {
	_, err := io.WriteString(w, "export "+Variable(it.Provider)+"="+quote(it.Access.Reveal())+"\n")
	return err
}

// Variable is the name of the environment variable for a provider's token.
func Variable(provider string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case (r >= 'A' && r <= 'Z') || (r >= '0' && r <= '9'):
			return r
		default:
			return '_'
		}
	}, provider)
	if name == "" || (name[0] >= '0' && name[0] <= '9') {
		name = "_" + name
	}
	return name + "_TOKEN"
}

// quote makes one word of s in any POSIX shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
