package provider

// Builtin is the catalog that Keytray ships, sorted by id.
func Builtin() Catalog {
	return Catalog{anthropic(), openAI(), openAICodex()}
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
		Token:  &Static{Env: "ANTHROPIC_AUTH_TOKEN"},
		APIKey: &Static{Page: "https://platform.claude.com/settings/keys", Header: "x-api-key", Env: "ANTHROPIC_API_KEY"},
	}
}

// openAI is the API that is paid by use; the subscription is openai-codex.
func openAI() Provider {
	return Provider{
		ID:     "openai",
		Name:   "OpenAI",
		Vendor: "openai",
		Page:   "https://platform.openai.com/docs/api-reference/authentication",
		APIKey: &Static{Page: "https://platform.openai.com/api-keys", Env: "OPENAI_API_KEY"},
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
