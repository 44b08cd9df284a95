package github

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The names and values are those that encoding/json finds, byte for byte, in
// whatever it takes for an object.
func FuzzMembers(f *testing.F) {
	for _, object := range []string{
		`{}`, ` { } `, "\t{\r\n}\n", `{"a":1}`, `{"a":1,"a":null}`, `{"a" : "b" , "c" :[1,{"d":"}"}] ,"e":{"f":[]}}`,
		`{"a":"\"","b":"\\","c":"\\\"","\"":"{"}`, `{"\u0061pp":"\u00e9","\ud83d":"\ud83d\ude00"}`, "{\"\xff\":\"\xc3\x28\"}",
		`{"":"","a":-1.5e+3 ,"b":true,"c":false}`, `{"a":[[[]],{}],"b":{"c":{"d":{}}}}`, `[{"a":1}]`, `{"a":1`, `null`, ``,
	} {
		f.Add([]byte(object))
	}
	for _, name := range []string{"repository_dispatch.json", "ping.json"} {
		body, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, object []byte) {
		if !isObject(object) {
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(object, &want); err != nil {
			t.Fatalf("valid, and %v", err)
		}
		found := make(map[string]json.RawMessage)
		for name, value := range members(object) {
			found[string(name)] = value
			var any any
			if err := json.Unmarshal(value, &any); err != nil {
				t.Fatalf("%q is %q: %v", name, value, err)
			}
			s, ok := any.(string)
			if got, gotOK := textOrNull(value); got != s || gotOK != (ok || any == nil) {
				t.Errorf("%q is the string %q (%t)", value, got, gotOK)
			}
		}
		if diff := cmp.Diff(want, found); diff != "" {
			t.Error(diff)
		}
		for range members(object) { // whoever has seen enough may leave
			break
		}
	})
}
