package export_test

import (
	"fmt"
	"os"

	"github.com/keytray/keytray/export"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/secret"
)

func Example() {
	openai, _ := provider.Builtin().Find("openai")
	it := export.Item{Profile: "openai:manual", Provider: openai, Kind: export.APIKey, Access: secret.New("sk-1")}
	for _, name := range []string{"env", "header", "claude"} {
		format, _ := export.Find(name)
		if err := format.Write(os.Stdout, it); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// export OPENAI_API_KEY='sk-1'
	// Authorization: Bearer sk-1
	// the format claude cannot carry this login: Claude Code's file has no API keys
}
