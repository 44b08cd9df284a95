package api

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// checkFields holds the names of a body that was decoded into a struct to what the contract
// says, and package json does not: each is spelled as there, and is there once, so that
// whoever looks at a request on its way reads what is done. A null is of a script whose
// value is missing, which is not the same as one that was left out.
func checkFields(body []byte, into any) *gitops.Error {
	known := make(map[string]bool)
	for t, i := reflect.TypeOf(into).Elem(), 0; i < t.NumField(); i++ {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		known[name] = true
	}
	fields := json.NewDecoder(bytes.NewReader(body))
	if start, _ := fields.Token(); start != json.Delim('{') {
		return gitops.Errorf(gitops.Invalid, "the body must be a JSON object, not null")
	}
	seen := make(map[string]bool)
	for fields.More() {
		token, _ := fields.Token() // the body is valid
		name, _ := token.(string)
		var value json.RawMessage
		_ = fields.Decode(&value)
		switch {
		case !known[name]:
			return gitops.FieldErrorf(gitops.Clip(name, 40), "is not a field: capitals count")
		case seen[name]:
			return gitops.FieldErrorf(name, "is there twice: remove one")
		case string(value) == "null":
			return gitops.FieldErrorf(name, "must not be null: give it a value, or leave it out")
		}
		seen[name] = true
	}
	return nil
}
