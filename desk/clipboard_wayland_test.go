//go:build linux

package desk

import (
	"bytes"
	"testing"
)

// FuzzCutEvent: whatever a compositor sends, in whatever pieces, is taken apart to
// its end, and what we write we can read.
func FuzzCutEvent(f *testing.F) {
	f.Add([]byte{}, "wl_seat")
	f.Add([]byte{1, 0, 0, 0, 0, 0, 8, 0, 2, 0, 0, 0, 0, 0, 12, 0, 9, 9, 9, 9}, "")
	f.Add([]byte{1, 0, 0, 0, 0, 0, 7, 0}, "abc")
	f.Add([]byte{1, 0, 0, 0, 0, 0, 255, 255}, "abcd")
	f.Fuzz(func(t *testing.T, data []byte, s string) {
		for rest, ok := data, true; ok; {
			before := len(rest)
			var e waylandEvent
			e, rest, ok = cutEvent(rest)
			if ok && len(rest) > before-8 {
				t.Fatalf("%d bytes are left of %d", len(rest), before)
			}
			w := &waylandConn{}
			w.note(e.body)
			_, _ = cutString(e.body)
		}
		b := str(s)
		if got, ok := cutString(b); !ok || got != s || len(b)%4 != 0 {
			t.Errorf("%q becomes %q in %d bytes", s, got, len(b))
		}
		event := bytes.Join([][]byte{word(7), word(uint32(8+len(b))<<16 | 3), b}, nil)
		if e, rest, ok := cutEvent(event); len(b) < 60000 && (!ok || e.object != 7 || e.opcode != 3 || !bytes.Equal(e.body, b) || len(rest) > 0) {
			t.Errorf("%+v", e)
		}
	})
}
