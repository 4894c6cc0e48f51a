package export

import (
	"errors"
	"strings"
)

// ErrPlanToken is a token of a Claude plan for a program that would send it as a
// key.
var ErrPlanToken = errors.New("a token of a Claude plan does not work through apiKeyHelper")

// planToken is how the tokens of `claude setup-token` and of Claude Code's logins
// begin.
const planToken = "sk-ant-oat"

// ClaudeHook answers Claude Code's apiKeyHelper
// (https://code.claude.com/docs/en/settings): the bare secret, which Claude Code
// sends both as x-api-key and as a bearer token. Anthropic's API takes the token
// of a plan in neither way; a gateway may, and it may take keys of other vendors.
func ClaudeHook(gateway bool) Spec {
	return Spec{Name: "claude", Tool: "anthropic", home: !gateway, text: func(it Item) ([]byte, error) {
		if strings.HasPrefix(it.Access.Reveal(), planToken) && !gateway {
			return nil, ErrPlanToken
		}
		return plain(it)
	}}
}

// CodexHook answers Codex's model_providers.ID.auth
// (https://github.com/openai/codex/blob/main/docs/config.md): the bare token.
func CodexHook() Spec { return Spec{Name: "codex", Tool: "openai", text: plain} }

// PiHook answers a "!command" in pi's auth.json
// (https://github.com/badlogic/pi-mono/tree/main/packages/coding-agent): the bare
// secret, which pi keeps until it ends.
func PiHook() Spec { return Spec{Name: "pi", Tool: "pi", text: plain} }
