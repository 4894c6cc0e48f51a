package sink_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/keytray/keytray/sink"
	"github.com/keytray/keytray/sink/sinktest"
)

// BenchmarkUpdate renews one login of so many, with a keychain that takes no time:
// what grows is the profile file, which is read, changed and written.
func BenchmarkUpdate(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 10_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			dir := b.TempDir()
			w := &world{b, &sinktest.Keychain{}, dir + "/root", dir + "/place"}
			w.login(credential("0", time.Hour))
			one := w.files()[w.mirror()]
			from, to := strings.Index(one, `"`+alice.ID+`": {`), strings.LastIndex(one[:strings.LastIndex(one, "}")], "}")
			entry := strings.TrimSuffix(strings.TrimSpace(strings.TrimPrefix(one[from:to], `"`+alice.ID+`": `)), ",")
			var others strings.Builder
			for i := range n - 1 {
				fmt.Fprintf(&others, `"acme:%d": %s,`, i, entry)
			}
			w.writeMirror(one[:from] + others.String() + one[from:])
			for b.Loop() {
				if err := w.refresh("1"); err != nil {
					b.Fatal(err)
				}
			}
			if p, err := w.open().Profile(sink.Ref{Agent: alice.Agent, ID: "acme:0"}); n > 1 && err != nil {
				b.Fatalf("%v: %v", p, err)
			}
		})
	}
}
