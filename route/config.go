package route

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
)

// Config is what matters of OpenClaw's openclaw.json here.
type Config struct {
	// Order is auth.order.
	Order []ConfigOrder
	// Profiles is auth.profiles, in the order of the file.
	Profiles []ConfigProfile
	// Agents are those whose files are elsewhere than in the state folder.
	Agents []ConfigAgent
	// Version is that of the OpenClaw which wrote the file last.
	Version string
}

// ConfigAgent is an agent and the folder of its files, as somebody wrote it.
type ConfigAgent struct{ ID, Dir string }

// ConfigOrder is the order of one provider's logins. An empty one selects none.
type ConfigOrder struct {
	Provider string
	IDs      []string
}

// ConfigProfile is a login that is configured: only one of that provider and
// mode is taken for it.
type ConfigProfile struct {
	ID       string `json:"-"`
	Provider string `json:"provider"`
	Mode     string `json:"mode"`
}

// fits reports whether a login is what was configured. Where OAuth is expected
// a token will do; and an OAuth login of ours is a token to OpenClaw, which is
// not given the refresh token.
func (p ConfigProfile) fits(l Login) bool {
	switch Type(p.Mode) {
	case l.Type:
		return true
	case OAuth:
		return l.Type == Token
	case Token:
		return l.Type == OAuth && l.Ours
	default:
		return false
	}
}

func (c Config) order(provider string) (ids []string, ok bool) {
	i := slices.IndexFunc(c.Order, func(o ConfigOrder) bool { return SameProvider(o.Provider, provider) })
	if i < 0 {
		return nil, false
	}
	return c.Order[i].IDs, true
}

// errConfig hides what a decoder says: it may quote a value.
var errConfig = errors.New("auth is not as OpenClaw has it")

// ParseConfig reads the text of an openclaw.json, which is JSON5. The error never
// quotes the file, which may hold secrets.
func ParseConfig(text []byte) (Config, error) {
	b, err := toJSON(text)
	if err != nil {
		return Config{}, err
	}
	var file struct {
		Auth struct {
			Order    members[[]string]      `json:"order"`
			Profiles members[ConfigProfile] `json:"profiles"`
		} `json:"auth"`
	}
	if err := json.Unmarshal(b, &file); err != nil {
		if s, ok := errors.AsType[*json.SyntaxError](err); ok {
			return Config{}, &SyntaxError{Line: lineOf(b, int(s.Offset))}
		}
		return Config{}, errConfig
	}
	var c Config
	for _, m := range file.Auth.Order {
		c.Order = append(c.Order, ConfigOrder{m.name, m.value})
	}
	for _, m := range file.Auth.Profiles {
		m.value.ID = m.name
		c.Profiles = append(c.Profiles, m.value)
	}
	c.Agents, c.Version = parseAgents(b)
	return c, nil
}

// parseAgents reads agents.list, and agents.entries of the versions from 2026.9
// on. What is not as expected is left out: it says nothing of order.
func parseAgents(b []byte) (agents []ConfigAgent, version string) {
	var file struct {
		Meta   struct{ LastTouchedVersion string }
		Agents struct {
			List    []struct{ ID, AgentDir string }
			Entries members[struct{ AgentDir string }]
		}
	}
	_ = json.Unmarshal(b, &file) // what does fit has been taken over
	for _, a := range file.Agents.List {
		agents = append(agents, ConfigAgent{a.ID, a.AgentDir})
	}
	for _, m := range file.Agents.Entries {
		agents = append(agents, ConfigAgent{m.name, m.value.AgentDir})
	}
	return slices.DeleteFunc(agents, func(a ConfigAgent) bool { return a.ID == "" || a.Dir == "" }), file.Meta.LastTouchedVersion
}

// members is a JSON object in the order of the file. Of two members of one name
// the later one counts, as in JavaScript.
type members[T any] []named[T]

type named[T any] struct {
	name  string
	value T
}

// UnmarshalJSON implements [json.Unmarshaler].
func (m *members[T]) UnmarshalJSON(b []byte) error {
	if bytes.Equal(b, []byte("null")) {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errConfig
	}
	at := map[string]int{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return err
		}
		n := named[T]{name: t.(string)} // a token in name position is a string
		if err := d.Decode(&n.value); err != nil {
			return err
		}
		if i, twice := at[n.name]; twice {
			(*m)[i] = n
			continue
		}
		at[n.name] = len(*m)
		*m = append(*m, n)
	}
	return nil
}
