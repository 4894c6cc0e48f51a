package route_test

import (
	"fmt"
	"time"

	"github.com/keytray/keytray/route"
)

func ExampleChoose() {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	logins := []route.Login{
		{ID: "anthropic:home", Provider: "anthropic", Type: route.APIKey, Ours: true},
		{ID: "anthropic:work", Provider: "anthropic", Type: route.OAuth, Ours: true},
	}
	c, _ := route.Choose(logins, route.Rules{}, route.Question{Provider: "anthropic", Now: now})
	fmt.Println(c.ID, "-", c.Sentence(now))

	stored := route.Rules{Order: []string{"anthropic:home", "anthropic:work"}}
	c, _ = route.Choose(logins, stored, route.Question{Provider: "anthropic", Now: now})
	fmt.Println(c.ID, "-", c.Sentence(now))
	// Output:
	// anthropic:work - it comes first in the default order: OAuth, tokens, API keys; of equals the one not used for longest
	// anthropic:home - it comes first in the stored order
}
