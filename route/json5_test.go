package route

import (
	"compress/gzip"
	"encoding/json"
	"os"
	"reflect"
	"testing"
)

// TestJSON5IsTheReferences compares with the reference implementation's reading
// of generated texts. Numbers are not compared: those that JSON cannot say are
// null here, and nobody asks for them.
func TestJSON5IsTheReferences(t *testing.T) {
	f, err := os.Open("testdata/json5-vectors.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		Cases []struct{ Text, JSON string }
	}
	if err := json.NewDecoder(z).Decode(&vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors.Cases) < 1000 {
		t.Errorf("%d cases, want a thousand or more", len(vectors.Cases))
	}
	for _, c := range vectors.Cases {
		b, err := toJSON([]byte(c.Text))
		var got, want any
		ok := err == nil && json.Unmarshal(b, &got) == nil
		if ok != (c.JSON != "") {
			t.Errorf("%q is JSON5: %v, want %v", c.Text, ok, !ok)
			continue
		}
		if !ok {
			continue
		}
		if err := json.Unmarshal([]byte(c.JSON), &want); err != nil {
			t.Fatal(err)
		}
		if got, want = withoutNumbers(got), withoutNumbers(want); !reflect.DeepEqual(got, want) {
			t.Errorf("%q reads as %v, want %v", c.Text, got, want)
		}
	}
}

func withoutNumbers(v any) any {
	switch x := v.(type) {
	case float64:
		return nil
	case []any:
		for i := range x {
			x[i] = withoutNumbers(x[i])
		}
	case map[string]any:
		for k := range x {
			x[k] = withoutNumbers(x[k])
		}
	}
	return v
}
