package object_test

import (
	"fmt"

	"github.com/keytray/keytray/object"
)

func ExampleJSON_EncodeLike() {
	theirs := []byte("{\n  \"b\": {\"who\": \"knows\"},\n  \"a\": 1\n}\n")
	o, err := object.ParseStrict(theirs)
	if err != nil {
		panic(err)
	}
	b, err := o.Set("a", object.Quote("ours")).EncodeLike(theirs)
	fmt.Printf("%s%v\n", b, err)
	// Output:
	// {
	//   "b": {
	//     "who": "knows"
	//   },
	//   "a": "ours"
	// }
	// <nil>
}
