package server

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// docs/api.md has each path of the contract, with the parameters of a path in capitals.
func TestEveryPathIsInTheDocs(t *testing.T) {
	doc, err := contract()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	parameter := regexp.MustCompile(`{\w+}`)
	for path, item := range doc.Paths.Map() {
		path = parameter.ReplaceAllStringFunc(path, func(name string) string { return strings.ToUpper(strings.Trim(name, "{}")) })
		for method := range item.Operations() {
			if !regexp.MustCompile("`" + method + " " + regexp.QuoteMeta(path) + "[?`]").Match(text) {
				t.Errorf("%s %s is not there", method, path)
			}
		}
	}
}
