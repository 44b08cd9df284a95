package values_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// testCase is testdata/case/NAME.json; testdata/original/NAME.yaml is edited and
// must become testdata/expected/NAME.yaml, which a refused case does not have.
type testCase struct {
	Set        []values.Target
	Tag        string
	Digest     string
	Repository string
	Styles     bool           // run again with the text v1.0.0 in single and in double quotes
	Refusal    values.Refusal // or empty
	Names      []string       // what the refusal's sentence must have in it
	Paths      []string       // what the result must list, when given

	name               string
	original, expected []byte
}

func (c testCase) vars() values.Vars {
	return values.Vars{Tag: c.Tag, Digest: c.Digest, Repository: c.Repository}
}

func (c testCase) quoted(quote string) testCase {
	inQuotes := func(text []byte, word string) []byte {
		return bytes.ReplaceAll(text, []byte(word), []byte(quote+word+quote))
	}
	c.original = inQuotes(c.original, "v1.0.0")
	c.expected = inQuotes(c.expected, "v2.0.0")
	return c
}

func loadCases(t testing.TB) []testCase {
	t.Helper()
	files, err := filepath.Glob("testdata/case/*.json")
	if err != nil || len(files) < 60 {
		t.Fatalf("found %d cases: %v", len(files), err)
	}
	cases := make([]testCase, len(files))
	for i, file := range files {
		c := &cases[i]
		text, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(text, c)
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		c.name = strings.TrimSuffix(filepath.Base(file), ".json")
		if c.original, err = os.ReadFile("testdata/original/" + c.name + ".yaml"); err != nil {
			t.Fatal(err)
		}
		c.expected, err = os.ReadFile("testdata/expected/" + c.name + ".yaml")
		if (err == nil) != (c.Refusal == "") {
			t.Fatalf("%s: an expected file belongs to a case without refusal: %v", c.name, err)
		}
	}
	return cases
}

func TestCases(t *testing.T) {
	for _, c := range loadCases(t) {
		t.Run(c.name, func(t *testing.T) { check(t, c) })
		if c.Styles {
			t.Run(c.name+"/double", func(t *testing.T) { check(t, c.quoted(`"`)) })
			t.Run(c.name+"/single", func(t *testing.T) { check(t, c.quoted(`'`)) })
		}
	}
}

func check(t *testing.T, c testCase) {
	edit, err := values.Compile(c.Set)
	if err != nil {
		t.Fatal(err)
	}
	before := bytes.Clone(c.original)
	result, err := edit.Set(c.original, c.vars())
	out, changed := result.Text, result.Changed
	if !bytes.Equal(before, c.original) {
		t.Fatal("Apply changed its argument")
	}
	if c.Refusal != "" {
		checkRefused(t, c, out, changed, err)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(c.expected), string(out)); diff != "" {
		t.Fatalf("-expected +got:\n%s", diff)
	}
	if want := !bytes.Equal(c.original, c.expected); changed != want {
		t.Fatalf("changed is %v, want %v", changed, want)
	}
	if diff := cmp.Diff(c.Paths, result.Paths); c.Paths != nil && diff != "" {
		t.Fatalf("paths: -want +got:\n%s", diff)
	}
	if again, changed, err := edit.Apply(out, c.vars()); err != nil || changed || !bytes.Equal(again, out) {
		t.Fatalf("a second time: %v, %v\n%s", changed, err, again)
	}
}

func checkRefused(t *testing.T, c testCase, out []byte, changed bool, err error) {
	var refusal values.Refusal
	if !errors.As(err, &refusal) {
		t.Fatalf("no refusal but %v\n%s", err, out)
	}
	t.Log(gitops.PublicOf(err))
	if refusal != c.Refusal || out != nil || changed {
		t.Fatalf("refused for %s, want %s", refusal, c.Refusal)
	}
	for _, name := range c.Names {
		if !strings.Contains(gitops.PublicOf(err), name) {
			t.Errorf("the sentence does not have %q", name)
		}
	}
	if gitops.CodeOf(err) != refusal.Code() {
		t.Fatalf("the code is %s, want %s", gitops.CodeOf(err), refusal.Code())
	}
}
