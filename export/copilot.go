package export

import "strings"

// copilot is the variable that GitHub Copilot CLI looks at first. It takes tokens
// of an OAuth app and fine-grained personal ones; classic ones it refuses.
func copilot(it Item) ([]Var, error) {
	token := it.Access.Reveal()
	if !strings.HasPrefix(token, "gho_") && !strings.HasPrefix(token, "github_pat_") {
		return nil, unfit("Copilot CLI takes tokens that begin with gho_ or github_pat_")
	}
	return []Var{{"COPILOT_GITHUB_TOKEN", it.Access}}, nil
}
