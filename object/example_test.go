package object_test

import (
	"fmt"

	"github.com/keytray/keytray/object"
)

// A member of another program's file is changed; the rest stays as it is written.
func Example() {
	o, err := object.ParseStrict([]byte(`{"z": 1.50, "tokens": {"access": "at1"}, "a": null}`))
	if err != nil {
		panic(err)
	}
	o = o.Change("tokens", func(tokens object.JSON) object.JSON { return tokens.Set("access", object.Quote("at2")) })
	fmt.Printf("%s\n", o.Encode())

	_, err = object.ParseStrict([]byte(`{"a": 1, "a": 2}`))
	fmt.Println(err != nil)
	// Output:
	// {"z":1.50,"tokens":{"access":"at2"},"a":null}
	// true
}
