package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// checkWords checks the fields that take one of a few words, which their tag oneOf
// lists. The JSON Schema has the same lists from the same tags.
func checkWords(report func(field, format string, args ...any), path string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			checkWords(report, path, v.Elem())
		}
	case reflect.Map:
		for _, key := range slices.SortedFunc(slices.Values(v.MapKeys()), func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) }) {
			checkWords(report, fmt.Sprintf("%s.%s", path, key), v.MapIndex(key))
		}
	case reflect.Slice:
		for i := range v.Len() {
			checkWords(report, fmt.Sprintf("%s[%d]", path, i), v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			field := v.Type().Field(i)
			name := strings.TrimPrefix(path+"."+field.Tag.Get("yaml"), ".")
			if words := field.Tag.Get("oneOf"); words == "" {
				checkWords(report, name, v.Field(i))
			} else if allowed := strings.Split(words, ","); !slices.Contains(allowed, v.Field(i).String()) {
				report(name, "must be one of %s, not %q", strings.Join(allowed, ", "), gitops.Clip(v.Field(i).String(), 100))
			}
		}
	}
}
