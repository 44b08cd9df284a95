package catalog

import (
	"reflect"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/values"
)

// Targets that differ in anything the configuration can say are not taken for each other.
func TestIdentifyKnowsEveryField(t *testing.T) {
	seen := map[string]string{identify([]values.Target{{}}, values.Limits{}): "nothing"}
	for i := range reflect.TypeFor[values.Target]().NumField() {
		var set values.Target
		name, field := reflect.TypeFor[values.Target]().Field(i).Name, reflect.ValueOf(&set).Elem().Field(i)
		switch field.Kind() {
		case reflect.String:
			field.SetString("x")
		case reflect.Bool:
			field.SetBool(true)
		default:
			field.Set(reflect.ValueOf([]string{"x"}))
		}
		text := identify([]values.Target{set}, values.Limits{})
		if other, taken := seen[text]; taken && name != "KeepType" { // which is for edits by hand
			t.Errorf("%s is taken for %s", name, other)
		}
		seen[text] = name
	}
}
