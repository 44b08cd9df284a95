package config

import (
	"strings"
	"testing"
)

// What is not filled in yet is refused with what is missing, wherever it stands: in place of
// a text, a number, a list or a map.
func TestWhatIsNotFilledInIsNamed(t *testing.T) {
	t.Parallel()
	_, err := Parse([]byte(`
store: '<fill in: the path>'
lease: '<fill in: how long>'
sources: '<fill in: the senders>'
set: '<fill in: the keys>'
access:
  - who: {dispatch: {repositoryID: '<fill in: its number>'}}
    apps: '<fill in: the apps>'
environments:
  dev: {tags: {match: '<fill in: an expression>'}}
`))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"store: is not filled in yet: the path (line 2)",
		"lease: is not filled in yet: how long (line 3)",
		"sources: is not filled in yet: the senders (line 4)",
		"set: is not filled in yet: the keys (line 5)",
		"access[0].who.dispatch.repositoryID: is not filled in yet: its number (line 7)",
		"access[0].apps: is not filled in yet: the apps (line 8)",
		"environments.dev.tags.match: is not filled in yet: an expression (line 10)",
	} {
		if !strings.Contains(err.Error()+"\n", want+"\n") {
			t.Errorf("missing %q in:\n%v", want, err)
		}
	}
}

// A text that only begins so is a text.
func TestOtherTextIsNoMark(t *testing.T) {
	t.Parallel()
	_, err := Parse([]byte("log: {level: '<fill in: x> y'}\n"))
	if err == nil || strings.Contains(err.Error(), "not filled in") {
		t.Errorf("got %v", err)
	}
}
