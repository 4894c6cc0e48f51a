package machine_test

import (
	"fmt"

	"github.com/keytray/keytray/machine"
)

func Example() {
	me := machine.Self() // is written down, and read by a later process
	fmt.Println(me.Lives(), me.Stopped())

	me.PID = 1 << 30 // more than any system gives
	fmt.Println(me.Lives())
	// Output:
	// true false
	// false
}
