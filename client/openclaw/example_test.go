package openclaw_test

import (
	"fmt"
	"strings"

	"github.com/keytray/keytray/client/openclaw"
)

func ExampleReadRequest() {
	ids, err := openclaw.ReadRequest(strings.NewReader(`{"protocolVersion": 1, "provider": "keytray", "ids": ["main.6fd1"]}`))
	fmt.Println(ids, err)
	_, err = openclaw.ReadRequest(strings.NewReader(`{"protocolVersion": 2, "ids": []}`))
	fmt.Println(err)
	// Output:
	// [main.6fd1] <nil>
	// not a request of OpenClaw's: protocol version 2, and only 1 is known
}
