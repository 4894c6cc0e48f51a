package plain_test

import (
	"fmt"

	"github.com/keytray/keytray/plain"
)

func Example() {
	said := "denied\x1b[2J\nby \u202egnp.exe" // by a server
	fmt.Println(plain.Text(said))
	fmt.Println(plain.Line(said, 8))
	// Output:
	// denied[2Jby gnp.exe
	// denied[…
}
