package notify_test

import (
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/server/notify"
)

func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/notifications.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The documentation names every field of templates, every kind, and the default template.
func TestTheDocumentationOfTemplates(t *testing.T) {
	t.Parallel()
	text := page(t)
	for field := range reflect.TypeFor[notify.Fields]().Fields() {
		if !strings.Contains(text, "`."+field.Name+"`") {
			t.Errorf("there is no .%s", field.Name)
		}
	}
	for _, kind := range notify.Kinds() {
		if !strings.Contains(text, "\n| `"+string(kind)+"` | ") {
			t.Errorf("there is no row for %s", kind)
		}
	}
	if !strings.Contains(text, "    "+strings.ReplaceAll(notify.DefaultTemplate, "\n", "\n    ")+"\n") {
		t.Error("the default template is another")
	}
	for _, template := range regexp.MustCompile(`(?m)^    template: '(.*)'$`).FindAllStringSubmatch(text, -1) {
		if _, err := notify.ParseText(template[1], nil); err != nil {
			t.Errorf("%s: %v", template[1], err)
		}
	}
}

// The documented message is one, with every field in its place, and all fields are named.
func TestTheDocumentationOfMessages(t *testing.T) {
	t.Parallel()
	text := page(t)
	example := regexp.MustCompile("(?s)```json\n(.*?)\n```").FindStringSubmatch(text)
	if example == nil {
		t.Fatal("there is no example")
	}
	var m notify.Message
	decoder := json.NewDecoder(strings.NewReader(example[1]))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&m); err != nil {
		t.Fatal(err)
	}
	again, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(example[1], string(again)); diff != "" || m.Version != notify.Version {
		t.Error(diff)
	}
	for _, part := range []reflect.Type{reflect.TypeFor[notify.Message](), reflect.TypeFor[notify.Update](), reflect.TypeFor[notify.Rollout](), reflect.TypeFor[notify.Hold]()} {
		for field := range part.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if !strings.Contains(text, "`"+name+"`") && !strings.Contains(text, `"`+name+`": `) {
				t.Errorf("there is no %s of %s", name, part.Name())
			}
		}
	}
}

// The documentation verifies a message as the test does that holds it to what is sent.
func TestTheDocumentationOfSignatures(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("http_test.go")
	if err != nil {
		t.Fatal(err)
	}
	verify := regexp.MustCompile(`(?ms)^func verify\(.*?^}\n`).Find(source)
	if len(verify) == 0 || !strings.Contains(page(t), "```go\n"+string(verify)+"```\n") {
		t.Error("docs/notifications.md verifies another way")
	}
}
