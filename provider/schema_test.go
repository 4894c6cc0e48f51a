package provider

import (
	"reflect"
	"strings"
	"testing"
)

// schemaOf is what a type's JSON tags say.
func schemaOf(t reflect.Type) schema {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	s := schema{}
	for f := range t.Fields() {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "-" {
			s[name] = schemaOf(f.Type)
		}
	}
	return s
}

func TestSchemaIsThatOfTheTypes(t *testing.T) {
	if got, want := members(), schemaOf(reflect.TypeFor[Provider]()); !reflect.DeepEqual(got, want) {
		t.Errorf("members() = %v, want %v", got, want)
	}
}
