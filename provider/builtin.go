package provider

import (
	"slices"
	"strings"
)

// Builtin is the catalog that Keytray ships, sorted by id.
func Builtin() Catalog {
	all := append(Catalog{anthropic(), gitHubCopilot(), openAI(), openAICodex()}, keys()...)
	slices.SortFunc(all, func(a, b Provider) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// keys are the services that issue API keys and no more. The variable is the one
// that their own libraries read; the probe a list that only a key opens, of the
// key itself where the models are for everybody.
func keys() Catalog {
	key := func(id, name, page, keys, env, prefix, probe string) Provider {
		return Provider{ID: id, Name: name, Page: page, APIKey: &Static{Page: keys, Env: env, Prefix: prefix, Probe: &Probe{Endpoint: probe}}}
	}
	google := key("google", "Google Gemini", "https://ai.google.dev/gemini-api/docs/api-key", "https://aistudio.google.com/apikey", "GEMINI_API_KEY", "", "https://generativelanguage.googleapis.com/v1beta/models")
	google.APIKey.Header = "x-goog-api-key"
	return Catalog{
		google,
		key("cerebras", "Cerebras", "https://inference-docs.cerebras.ai/quickstart", "https://cloud.cerebras.ai/", "CEREBRAS_API_KEY", "", "https://api.cerebras.ai/v1/models"),
		key("deepseek", "DeepSeek", "https://api-docs.deepseek.com/", "https://platform.deepseek.com/api_keys", "DEEPSEEK_API_KEY", "", "https://api.deepseek.com/models"),
		key("groq", "Groq", "https://console.groq.com/docs/quickstart", "https://console.groq.com/keys", "GROQ_API_KEY", "gsk_", "https://api.groq.com/openai/v1/models"),
		key("huggingface", "Hugging Face", "https://huggingface.co/docs/hub/security-tokens", "https://huggingface.co/settings/tokens", "HF_TOKEN", "hf_", "https://huggingface.co/api/whoami-v2"),
		key("mistral", "Mistral", "https://docs.mistral.ai/getting-started/quickstart", "https://console.mistral.ai/api-keys", "MISTRAL_API_KEY", "", "https://api.mistral.ai/v1/models"),
		key("openrouter", "OpenRouter", "https://openrouter.ai/docs/api-reference/authentication", "https://openrouter.ai/settings/keys", "OPENROUTER_API_KEY", "sk-or-", "https://openrouter.ai/api/v1/key"),
		key("xai", "xAI", "https://docs.x.ai/docs/tutorial", "https://console.x.ai/", "XAI_API_KEY", "xai-", "https://api.x.ai/v1/models"),
	}
}

// gitHubCopilot signs in to GitHub with a code, as the extension of VS Code does.
// The token of that has no end; Copilot's API wants one that it is traded for and
// that lives half an hour. The endpoint of the trade is in no documentation: its
// facts are those of the programs that use it. Copilot's own command takes a
// fine-grained token that may make "Copilot Requests".
func gitHubCopilot() Provider {
	return Provider{
		ID:     "github-copilot",
		Name:   "GitHub Copilot",
		Page:   "https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps#device-flow",
		Vendor: "github",
		OAuth: &OAuth{
			Issuer:                      "https://github.com/login/oauth",
			DeviceAuthorizationEndpoint: "https://github.com/login/device/code",
			TokenEndpoint:               "https://github.com/login/oauth/access_token",
			Exchange: &Exchange{
				Endpoint: "https://api.github.com/copilot_internal/v2/token",
				Headers: map[string]string{
					"Editor-Version": "vscode/1.107.0", "Editor-Plugin-Version": "copilot-chat/0.35.0",
					"Copilot-Integration-Id": "vscode-chat", "User-Agent": "GitHubCopilotChat/0.35.0",
				},
				Token: "token", Expires: "expires_at",
			},
			UserinfoEndpoint: "https://api.github.com/user",
			ClientID:         "Iv1.b507a08c87ecfe98",
			Scopes:           []string{"read:user"},
			Identity:         Identity{Account: []string{"id"}, Email: []string{"login"}, Required: true},
			Policy:           Graceful, // nothing rotates
		},
		Token: &Static{Page: "https://github.com/settings/personal-access-tokens/new", Prefix: "github_pat_", Env: "COPILOT_GITHUB_TOKEN"},
	}
}

// anthropic is Claude. Its browser login belongs to Claude Code alone; for other
// programs that command makes a token, of which it says that it is valid for a
// year. Length and beginning are those that OpenClaw asks of one.
func anthropic() Provider {
	return Provider{
		ID:     "anthropic",
		Name:   "Anthropic",
		Page:   "https://code.claude.com/docs/en/authentication",
		Vendor: "anthropic",
		SetupToken: &Static{
			Command: "claude setup-token", Prefix: "sk-ant-oat01-", MinLength: 80, Days: 365,
			Env: "CLAUDE_CODE_OAUTH_TOKEN",
		},
		Token: &Static{Env: "ANTHROPIC_AUTH_TOKEN"},
		APIKey: &Static{
			Page: "https://platform.claude.com/settings/keys", Header: "x-api-key", Env: "ANTHROPIC_API_KEY",
			Probe: &Probe{Endpoint: "https://api.anthropic.com/v1/models", Headers: map[string]string{"anthropic-version": "2023-06-01"}},
		},
	}
}

// openAI is the API that is paid by use; the subscription is openai-codex.
func openAI() Provider {
	return Provider{
		ID:     "openai",
		Name:   "OpenAI",
		Vendor: "openai",
		Page:   "https://platform.openai.com/docs/api-reference/authentication",
		APIKey: &Static{Page: "https://platform.openai.com/api-keys", Env: "OPENAI_API_KEY", Probe: &Probe{Endpoint: "https://api.openai.com/v1/models"}},
		API:    &API{URL: "https://api.openai.com/v1"},
	}
}

// openAICodex is the ChatGPT login of Codex CLI.
//
// The client id is public; the redirect URIs registered for it are
// http://localhost:1455/auth/callback and the same on port 1457, literally:
// 127.0.0.1 is not accepted by all of its allow-lists.
func openAICodex() Provider {
	return Provider{
		ID:     "openai-codex",
		Name:   "ChatGPT (Codex)",
		Page:   "https://github.com/openai/codex/blob/main/codex-rs/login/src/server.rs",
		Vendor: "openai",
		API:    &API{URL: "https://chatgpt.com/backend-api/codex", AccountHeader: "ChatGPT-Account-ID"},
		OAuth: &OAuth{
			Issuer:                      "https://auth.openai.com",
			AuthorizationEndpoint:       "https://auth.openai.com/oauth/authorize",
			DeviceAuthorizationEndpoint: "https://auth.openai.com/api/accounts/deviceauth/usercode",
			DeviceExchange: &DeviceExchange{
				PollEndpoint:    "https://auth.openai.com/api/accounts/deviceauth/token",
				VerificationURI: "https://auth.openai.com/codex/device",
				RedirectURI:     "https://auth.openai.com/deviceauth/callback",
			},
			TokenEndpoint:      "https://auth.openai.com/oauth/token",
			RevocationEndpoint: "https://auth.openai.com/oauth/revoke",
			RevocationJSON:     true,
			ClientID:           "app_EMoamEEZ73f0CkXaXp7hrann",
			Scopes:             []string{"openid", "profile", "email", "offline_access"},
			AuthorizationParams: map[string]string{
				"id_token_add_organizations": "true",
				"codex_cli_simplified_flow":  "true",
				"originator":                 "keytray",
			},
			Redirect: Redirect{Host: "localhost", Path: "/auth/callback", Ports: []int{1455, 1457}},
			Identity: Identity{
				Token:    "access_token",
				Account:  []string{"https://api.openai.com/auth", "chatgpt_account_id"},
				Email:    []string{"https://api.openai.com/profile", "email"},
				Plan:     []string{"https://api.openai.com/auth", "chatgpt_plan_type"},
				Required: true,
			},
		},
	}
}

// GeminiCLI is the Google login of Gemini CLI, by way of the client of the one that
// is installed. It is no part of the catalog: that client is Google's, and so the
// person's own file names it. Google rotates nothing.
func GeminiCLI(client string) Provider {
	return Provider{
		ID:     "google-gemini-cli",
		Name:   "Google (Gemini CLI)",
		Page:   "https://github.com/google-gemini/gemini-cli/blob/main/packages/core/src/code_assist/oauth2.ts",
		Vendor: "google",
		OAuth: &OAuth{
			Issuer:                "https://accounts.google.com",
			AuthorizationEndpoint: "https://accounts.google.com/o/oauth2/v2/auth",
			TokenEndpoint:         "https://oauth2.googleapis.com/token",
			RevocationEndpoint:    "https://oauth2.googleapis.com/revoke",
			UserinfoEndpoint:      "https://openidconnect.googleapis.com/v1/userinfo",
			JWKSURI:               "https://www.googleapis.com/oauth2/v3/certs",
			ClientID:              client,
			ClientAuth:            SecretPost,
			Scopes: []string{
				"openid", "https://www.googleapis.com/auth/cloud-platform",
				"https://www.googleapis.com/auth/userinfo.email", "https://www.googleapis.com/auth/userinfo.profile",
			},
			AuthorizationParams: map[string]string{"access_type": "offline", "prompt": "consent"},
			Redirect:            Redirect{Path: "/oauth2callback"},
			Env:                 "GOOGLE_CLOUD_ACCESS_TOKEN",
			Identity:            Identity{Account: []string{"sub"}, Email: []string{"email"}, Required: true},
			Policy:              Graceful,
		},
	}
}
