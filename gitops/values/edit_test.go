package values_test

import (
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/values"
)

func TestApplyChangesOneScalar(t *testing.T) {
	edit, err := values.Compile([]values.Target{{Key: ".image.tag"}})
	if err != nil {
		t.Fatal(err)
	}
	out, changed, err := edit.Apply([]byte("image:\r\n  tag: 1.9 # now\r\n"), values.Vars{Tag: "1.10"})
	if got, want := string(out), "image:\r\n  tag: \"1.10\" # now\r\n"; err != nil || !changed || got != want {
		t.Fatalf("got %q, %v, %v; want %q", got, changed, err, want)
	}
}
