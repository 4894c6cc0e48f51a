package desk_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/keytray/keytray/desk"
)

// Without a display there is nobody to ask.
func Example() {
	d := desk.Desk{Environ: []string{"PATH=/usr/bin:/bin"}} // the environment as main found it
	_, err := d.Ask(context.Background(), "Keytray", "Paste the token:")
	fmt.Println(errors.Is(err, desk.ErrNoDialog))
	// Output: true
}
