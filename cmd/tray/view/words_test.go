package view_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/keytray/keytray/cmd/tray/view"
)

// compareWords: every text is there in both languages, and takes the same
// parts.
func compareWords(t *testing.T, a, b view.Words) {
	t.Helper()
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	for i := range x.NumField() {
		name, one, two := x.Type().Field(i).Name, x.Field(i).String(), y.Field(i).String()
		if one == "" || two == "" {
			t.Errorf("%s is missing: %q, %q", name, one, two)
		}
		if parts(one) != parts(two) {
			t.Errorf("%s takes other parts: %q, %q", name, one, two)
		}
	}
}

func parts(format string) string {
	var all strings.Builder
	for i := range len(format) - 1 {
		if format[i] == '%' {
			all.WriteByte(format[i+1])
		}
	}
	return all.String()
}
