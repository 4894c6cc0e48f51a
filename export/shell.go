package export

import (
	"strings"

	"github.com/keytray/keytray/secret"
)

// Shell is a language in which variables are set.
type Shell string

// The shells. Dotenv is what .env files are written in, and systemd's
// EnvironmentFile; the zero value means Sh.
const (
	Sh         Shell = "sh"
	Fish       Shell = "fish"
	PowerShell Shell = "powershell"
	Dotenv     Shell = "dotenv"
)

// Shells are all of them.
func Shells() []Shell { return []Shell{Sh, Fish, PowerShell, Dotenv} }

// lines set the variables in the shell's language.
func (s Shell) lines(vars []Var) ([]byte, error) {
	var b strings.Builder
	for _, v := range vars {
		line, err := s.line(v)
		if err != nil {
			return nil, err
		}
		b.WriteString(line + "\n")
	}
	return []byte(b.String()), nil
}

func (s Shell) line(v Var) (string, error) {
	if !usable(v.Value) {
		return "", unfit("it has characters that no variable should have")
	}
	value := v.Value.Reveal()
	switch s {
	case Fish:
		return "set -gx " + v.Name + " '" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'", nil
	case PowerShell:
		return "$env:" + v.Name + " = '" + strings.ReplaceAll(value, "'", "''") + "'", nil
	case Dotenv:
		quoted, err := dotenv(value)
		return v.Name + "=" + quoted, err
	default:
		return "export " + v.Name + "=" + quote(value), nil
	}
}

// dotenv writes a value so that all readers of .env files agree on it: bare where
// every character is harmless, as in almost all tokens, else in single quotes.
// They do not agree on what a quote or a backslash within quotes is, and some
// look for variables even there.
func dotenv(value string) (string, error) {
	switch {
	case strings.ContainsAny(value, `'\$`):
		return "", unfit("readers of .env files do not agree on quotes, backslashes and dollar signs")
	case strings.Trim(value, alphanumeric+"._+/=-") != "":
		return "'" + value + "'", nil
	}
	return value, nil
}

const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// usable reports whether the token has the characters of one (RFC 6749 App. A):
// no line break and no NUL ends up in a shell or a header.
func usable(t secret.Text) bool {
	return !t.Empty() && !strings.ContainsFunc(t.Reveal(), func(r rune) bool { return r < 0x20 || r > 0x7e })
}

// quote makes one word of s in any POSIX shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
