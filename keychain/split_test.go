package keychain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// shelf is a store in memory with items as small as those of Windows. Only
// what surrounds a store is tested on it: splitting, and what a crash leaves.
type shelf struct {
	items map[string]string
	size  int
	// writes is how many writes pass before the power goes; negative: all.
	writes int
}

var errPower = fmt.Errorf("%w: the power is gone", ErrLocked)

func (s *shelf) lookup(_ context.Context, name string) ([]string, error) {
	if v, ok := s.items[name]; ok {
		return []string{v}, nil
	}
	return nil, ErrNotFound
}

func (s *shelf) set(_ context.Context, name, value string) error {
	if len(value) > s.size {
		return ErrTooBig
	}
	if s.writes == 0 {
		return errPower
	}
	s.writes--
	s.items[name] = value
	return nil
}

func (s *shelf) remove(_ context.Context, name string, _ func(string) bool) error {
	if s.writes == 0 {
		return errPower
	}
	s.writes--
	delete(s.items, name)
	return nil
}

func (*shelf) answer(context.Context) error { return nil }

func (*shelf) unlock(_ context.Context, locked error, _ func() error) error { return locked }

func (s *shelf) limit(string) int { return s.size }

func onShelf(size int) (*Keychain, *shelf) {
	s := &shelf{items: map[string]string{}, size: size, writes: -1}
	return &Keychain{service: "test", store: s, turn: make(chan struct{}, 1)}, s
}

// windowsSize is the smallest item of the three systems.
const windowsSize = 2560

func sized(n int, alphabet string) []byte {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	b := make([]byte, 0, n)
	for len(b) < n {
		b = append(b, alphabet[r.IntN(len(alphabet))])
	}
	return b
}

func TestEverySizeUpToTheLargestFits(t *testing.T) {
	alphabets := map[string]string{"text": "abcXYZ019 {}\"\n", "bytes": "\x00\x01\xff\xfe\x80a"}
	for kind, alphabet := range alphabets {
		for _, n := range []int{0, 1, 2, 2399, 2400, 2532, 2533, 2534, 3999, 4000, 4001, 8192, 32768, MaxValue - 1, MaxValue} {
			k, s := onShelf(windowsSize)
			want := sized(n, alphabet)
			if err := k.Set(t.Context(), "item", want); err != nil {
				t.Errorf("%s of %d bytes: %v", kind, n, err)
				continue
			}
			if got, err := k.Get(t.Context(), "item"); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s of %d bytes: got %d bytes, %v", kind, n, len(got), err)
			}
			if len(s.items) > maxParts+1 {
				t.Errorf("%s of %d bytes: %d items", kind, n, len(s.items))
			}
			if err := k.Delete(t.Context(), "item"); err != nil || len(s.items) != 0 {
				t.Errorf("%s of %d bytes: Delete() = %v, %d items left", kind, n, err, len(s.items))
			}
		}
	}
	k, _ := onShelf(windowsSize)
	if err := k.Set(t.Context(), "item", make([]byte, MaxValue+1)); !errors.Is(err, ErrTooBig) {
		t.Errorf("Set of more than the largest: %v, want ErrTooBig", err)
	}
}

func TestARecordOf2400BytesIsOneItem(t *testing.T) {
	k, s := onShelf(windowsSize)
	record := []byte(`{"rt":"` + strings.Repeat("x", 2391) + `"}`)
	if err := k.Set(t.Context(), "item", record); err != nil || len(s.items) != 1 || len(record) != 2400 {
		t.Errorf("Set() = %v, %d items, %d bytes", err, len(s.items), len(record))
	}
}

func TestPartsAreWholeCharacters(t *testing.T) {
	for _, text := range []string{strings.Repeat("€", 2000), "a" + strings.Repeat("𝄞", 2000), strings.Repeat("ü", 3000)} {
		k, s := onShelf(windowsSize)
		if err := k.Set(t.Context(), "item", []byte(text)); err != nil {
			t.Fatal(err)
		}
		for name, item := range s.items {
			if strings.ToValidUTF8(item, "") != item {
				t.Errorf("%s is cut inside a character", name)
			}
		}
		if got, err := k.Get(t.Context(), "item"); err != nil || string(got) != text {
			t.Errorf("got %d bytes, %v", len(got), err)
		}
	}
}

func TestAShorterValueLeavesNoPartsOfALongerOne(t *testing.T) {
	k, s := onShelf(windowsSize)
	for _, n := range []int{40000, 9000, 100} {
		if err := k.Set(t.Context(), "item", sized(n, "abc")); err != nil {
			t.Fatal(err)
		}
		if want := (n + partSize - 1) / partSize; n > windowsSize && len(s.items) != want+1 || n < windowsSize && len(s.items) != 1 {
			t.Errorf("%d bytes: %v", n, slices.Sorted(maps.Keys(s.items)))
		}
	}
}

// TestACrashNeverMixesTwoValues ends every write and delete after each of its
// steps, and looks at what is left.
func TestACrashNeverMixesTwoValues(t *testing.T) {
	sizes := []int{0, 100, 5000, 11000}
	for _, was := range sizes {
		for _, becomes := range append(sizes, -1) {
			for steps := 0; ; steps++ {
				if done := crash(t, was, becomes, steps); done {
					break
				}
			}
		}
	}
}

// crash writes one value and then another, or deletes, and ends that after some
// steps. It reports whether it came to its end by itself.
func crash(t *testing.T, was, becomes, steps int) bool {
	t.Helper()
	k, s := onShelf(windowsSize)
	old, value := sized(was, "old"), sized(max(becomes, 0), "new")
	if err := k.Set(t.Context(), "item", old); err != nil {
		t.Fatal(err)
	}
	s.writes = steps
	var err error
	if becomes >= 0 {
		err = k.Set(t.Context(), "item", value)
	} else {
		err = k.Delete(t.Context(), "item")
	}
	s.writes = -1
	switch got, readErr := k.Get(t.Context(), "item"); {
	case readErr == nil && !bytes.Equal(got, old) && !bytes.Equal(got, value):
		t.Errorf("%d to %d bytes, %d steps: a value of %d bytes that nobody wrote", was, becomes, steps, len(got))
	case err == nil && becomes >= 0 && !bytes.Equal(got, value):
		t.Errorf("%d to %d bytes: written and not read: %v", was, becomes, readErr)
	case readErr != nil && !errors.Is(readErr, ErrCorrupt) && !errors.Is(readErr, ErrNotFound):
		t.Errorf("%d to %d bytes, %d steps: %v", was, becomes, steps, readErr)
	}
	// A short value afterwards leaves nothing of what the crash left.
	if setErr := k.Set(t.Context(), "item", []byte("short")); setErr != nil || len(s.items) != 1 {
		t.Errorf("%d to %d bytes, %d steps: then %d items, %v", was, becomes, steps, len(s.items), setErr)
	}
	if deleteErr := k.Delete(t.Context(), "item"); deleteErr != nil || len(s.items) != 0 {
		t.Errorf("%d to %d bytes, %d steps: %d items left, %v", was, becomes, steps, len(s.items), deleteErr)
	}
	return err == nil
}

// TestATornSetNeverReadsAsAValue mixes the items of two writes in random ways.
func TestATornSetNeverReadsAsAValue(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for range 500 {
		k, s := onShelf(windowsSize)
		a, b := sized(4001+r.IntN(8000), "abc"), sized(4001+r.IntN(8000), "xyz")
		if err := k.Set(t.Context(), "item", a); err != nil {
			t.Fatal(err)
		}
		first := maps.Clone(s.items)
		if err := k.Set(t.Context(), "item", b); err != nil {
			t.Fatal(err)
		}
		for name, item := range first {
			switch r.IntN(8) {
			case 0, 1, 2:
				s.items[name] = item
			case 3:
				delete(s.items, name)
			case 4:
				s.items[name] = item[:r.IntN(len(item))]
			}
		}
		if got, err := k.Get(t.Context(), "item"); err == nil && !bytes.Equal(got, a) && !bytes.Equal(got, b) {
			t.Fatalf("%d bytes that nobody wrote", len(got))
		}
	}
}

func TestNamesAreChecked(t *testing.T) {
	for c := range 256 {
		s := string([]byte{'a', byte(c), 'b'})
		want := strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789._-", rune(c))
		if got := checkName("keytray", s) == nil; got != want {
			t.Errorf("name %q passes: %v", s, got)
		}
		if got := checkName(s, "item") == nil; got != want {
			t.Errorf("service %q passes: %v", s, got)
		}
	}
	for length, want := range map[int]bool{0: false, 1: true, maxName: true, maxName + 1: false} {
		if got := checkName("keytray", strings.Repeat("a", length)) == nil; got != want {
			t.Errorf("a name of %d bytes passes: %v", length, got)
		}
	}
	k, s := onShelf(windowsSize)
	_, err := k.Get(t.Context(), "A")
	if errs := []error{err, k.Set(t.Context(), "A", nil), k.Delete(t.Context(), "A")}; slices.Contains(errs, nil) || len(s.items) != 0 {
		t.Errorf("a bad name reaches the store: %v", errs)
	}
}

func TestNamesOfPartsAreReserved(t *testing.T) {
	k, _ := onShelf(windowsSize)
	for name, free := range map[string]bool{
		"slot.p0": false, "slot.p31": false, "slot.p": true, "slot.0": true, "p0": true, "a.p0.x": true, "x.p1x": true,
	} {
		if err := k.Set(t.Context(), name, nil); (err == nil) != free {
			t.Errorf("Set(%q) = %v", name, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add("service", "name", "")
	f.Add("service", "name", "kt1")
	f.Add("service", "name", "kt1t0123456789012345678901:")
	f.Add("s", "n", seal("s", "n", kindText, "value"))
	f.Add("s", "n", seal("s", "n", kindData, "!!!!!zz"))
	f.Add("s", "n", seal("s", "n", kindHead, "t 5000 3 abc"))
	f.Fuzz(func(t *testing.T, service, name, item string) {
		k, body, err := open(service, name, item)
		if err != nil {
			if !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrCorrupt) {
				t.Fatalf("open: %v", err)
			}
			return
		}
		if seal(service, name, k, body) != item {
			t.Fatalf("%q opens and is not what seal makes", item)
		}
		if _, _, err := open(service, name+"x", item); err == nil {
			t.Fatal("it opens under another name")
		}
		if _, err := decode(k, body); err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatalf("decode: %v", err)
		}
		if h, err := parseHeader(body); err == nil && h.String() != body {
			t.Fatalf("header %q is read as %v", body, h)
		}
	})
}

func FuzzSealOpen(f *testing.F) {
	f.Add([]byte("text"), uint(3))
	f.Add([]byte{0, 0xff}, uint(0))
	f.Fuzz(func(t *testing.T, value []byte, at uint) {
		k, body := encode(value)
		item := seal("s", "n", k, body)
		k2, body2, err := open("s", "n", item)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decode(k2, body2); err != nil || !bytes.Equal(got, value) {
			t.Fatalf("%q becomes %q, %v", value, got, err)
		}
		flipped := []byte(item)
		flipped[at%uint(len(flipped))] ^= 1
		if _, _, err := open("s", "n", string(flipped)); err == nil {
			t.Fatalf("%q opens with a changed byte at %d", item, at)
		}
	})
}

func FuzzParts(f *testing.F) {
	f.Add(5000, 2500, "abc", uint(1), []byte("y"))
	f.Add(MaxValue, 2500, "\x00\xff", uint(9), []byte("kt1p"))
	f.Fuzz(func(t *testing.T, length, size int, alphabet string, which uint, in []byte) {
		if alphabet == "" || length < 0 {
			return
		}
		k, s := onShelf(min(max(size, partSize+100), windowsSize))
		value := sized(length%(MaxValue+1), alphabet)
		if err := k.Set(t.Context(), "item", value); err != nil {
			t.Fatal(err)
		}
		names := slices.Sorted(maps.Keys(s.items))
		if got, err := k.Get(t.Context(), "item"); err != nil || !bytes.Equal(got, value) {
			t.Fatalf("got %d bytes of %d, %v", len(got), len(value), err)
		}
		s.items[names[which%uint(len(names))]] = string(in)
		if got, err := k.Get(t.Context(), "item"); err == nil && !bytes.Equal(got, value) {
			t.Fatalf("%d bytes that nobody wrote", len(got))
		}
	})
}

func FuzzItemName(f *testing.F) {
	f.Add("keytray", "slot.0")
	f.Add("keytray", "Item")
	f.Add("a:b", "item")
	f.Add("keytray", "it'em")
	f.Add("keytray", "it\nem")
	f.Fuzz(func(t *testing.T, service, name string) {
		if checkName(service, name) != nil {
			return
		}
		for _, s := range []string{service, name} {
			if len(s) > maxName || s == "" || strings.ToLower(s) != s || strings.ContainsAny(s, ":'\"\\ \t\r\n\x00") {
				t.Fatalf("%q passes", s)
			}
		}
	})
}
