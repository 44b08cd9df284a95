package values_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// A file that a reader rejects is refused with the line and what to look for there, and
// nothing of the file is quoted but a template's own marks.
func TestFilesThatAreNotYAML(t *testing.T) {
	edit, err := values.Compile([]values.Target{{Key: ".image.tag"}})
	if err != nil {
		t.Fatal(err)
	}
	const valid = "image: {tag: v1}\n"
	for _, c := range []struct {
		file string
		says string
		is   values.Refusal
	}{
		{valid + "a: *secret\n", "; see line 2: an alias (*name) has no anchor (&name) before it", values.NotYAML},
		{valid + "a: `secret`\n", "; see line 2: a value begins with @, ` or %; put it in quotes", values.NotYAML},
		{valid + "a: secret: b\n", "; see line 2: there is a second colon in one value", values.NotYAML},
		{valid + "a: 1\nsecret\n", ": a key before it has no colon", values.NotYAML},
		{valid + "a: \"secret\nb: 1\n", ": a quote or a bracket before it is not closed", values.NotYAML},
		{valid + "a: [secret, 2\nb: 1\n", ": a bracket before it is not closed, or a comma is missing", values.NotYAML},
		{valid + "a:\n  secret: 1\n b: 2\n", ": the line is not set in as those around it", values.NotYAML},
		{"- secret\n" + valid, ": a list goes on with a line that has no hyphen", values.NotYAML},
		{"{secret: 1}}\n", ": there is text behind the end of a document", values.NotYAML},
		{valid + `a: "\secret"`, ": in double quotes a backslash begins an escape", values.NotYAML},
		{valid + "a: !secret!b c\n", ": a value has a YAML tag (!x!y) that no %TAG line defines", values.NotYAML},
		{"%YAML 2.0\n---\n" + valid, ": its %YAML line asks for another version", values.NotYAML},
		{valid + "a: *\n", ": & and * begin an anchor's name", values.NotYAML},
		{valid + "a: |secret\n", ": behind | and > only a number, + or - may stand", values.NotYAML},
		{valid + "a: &secret [*secret]\n", "the file is not YAML to every reader: an anchor is used within its own value", values.NotYAML},
		{valid + "a: {<<: secret}\n", ": what a merge key (<<) brings in must be a map", values.NotYAML},
		{valid + "? {secret: b}\n: c\n", ": a key is a map or a list; write text", values.NotYAML},
		{valid + "\ta: secret\n", ": line 2 is indented with a tab (character 1); use spaces", values.NotYAML},
		{"<<<<<<< HEAD\n" + valid + "=======\nimage: {tag: secret}\n>>>>>>> theirs\n", ": line 1 is the mark of a merge conflict; resolve it", values.NotYAML},
		{"image:\n<<<<<<< HEAD\n  tag: secret\n=======\n", ": line 2 is the mark of a merge conflict; resolve it", values.NotYAML},
		{"image:\n  tag: @@TAG@@\n", "(@@TAG@@ in line 2, character 8)", values.Placeholder},
		{"image:\n  tag: %{TAG}\n", "(%{ in line 2, character 8)", values.Placeholder},
		{"image:\n  tag: %%TAG%%\n", "(%%TAG%% in line 2, character 8)", values.Placeholder},
	} {
		_, _, err := edit.Apply([]byte(c.file), values.Vars{Tag: "v2"})
		if says := gitops.PublicOf(err); !errors.Is(err, c.is) || !strings.Contains(says, c.says) || strings.Contains(says, "secret") {
			t.Errorf("%q: got %v, want %s", c.file, err, c.says)
		}
	}
}
