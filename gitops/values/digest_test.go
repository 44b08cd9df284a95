package values_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/values"
)

// A digest that pins the image is not lost in silence, wherever near the tag it
// stands; what belongs to something else is left alone.
func TestDigestsNearATag(t *testing.T) {
	hex := strings.Repeat("0123456789abcdef", 4)
	sha := "sha256:" + hex
	tagAnd := func(key string) []values.Target {
		return []values.Target{{Key: ".image.tag"}, {Key: key, Value: "{digest}"}}
	}
	tag := []values.Target{{Key: ".image.tag"}}
	for name, c := range map[string]struct {
		file string
		set  []values.Target
		says string // "" when it is edited
	}{
		"beside":                          {"image: {tag: v1, pin: " + sha + "}", tag, "has the digest pin beside it"},
		"above":                           {"digest: " + sha + "\nimage: {tag: v1}", tag, "has the digest digest above it, which would be deployed whatever the tag says"},
		"above, under any key":            {"pinned: " + sha + "\nimage: {tag: v1}", tag, "has the digest pinned above it"},
		"above, bare":                     {"imageDigest: " + hex + "\nimage: {tag: v1}", tag, "has the digest imageDigest above it"},
		"above, by a merge key":           {"base: &b {digest: " + sha + "}\napp: {<<: *b, image: {tag: v1}}", []values.Target{{Key: ".app.image.tag"}}, "has the digest digest above it"},
		"below":                           {"image: {tag: v1, pin: {value: " + sha + "}}", tag, "has the digest value in pin beside it"},
		"below, bare":                     {"image: {tag: v1, by: {digest: " + hex + "}}", tag, "has the digest digest in by beside it"},
		"below, by an alias":              {"p: &p {digest: " + sha + "}\nimage: {tag: v1, pin: *p}", tag, "has the digest digest in pin beside it"},
		"below, in a list's item":         {"l: [{tag: v1, pin: {digest: " + sha + "}}]", []values.Target{{Key: ".l[0].tag"}}, "in pin beside it"},
		"above, set too":                  {"digest: " + sha + "\nimage: {tag: v1}", tagAnd(".digest"), ""},
		"below, set too":                  {"image: {tag: v1, pin: {digest: " + sha + "}}", tagAnd(".image.pin.digest"), ""},
		"above, another is set too":       {"digest: " + sha + "\nother: {digest: " + sha + "}\nimage: {tag: v1}", tagAnd(".other.digest"), "above it"},
		"above, empty":                    {"digest: ''\nimage: {tag: v1}", tag, ""},
		"above, of another tag":           {"tag: v7\ndigest: " + sha + "\nimage: {tag: v1}", tag, ""},
		"above, a file's checksum":        {"checksum: " + hex + "\nimage: {tag: v1}", tag, ""},
		"above, a reference of another":   {"init: busybox@" + sha + "\nimage: {tag: v1}", tag, ""},
		"below, of another image":         {"image: {tag: v1, sidecar: {repository: envoy, digest: " + sha + "}}", tag, ""},
		"below, of another tag":           {"image: {tag: v1, sidecar: {tag: v2, digest: " + sha + "}}", tag, ""},
		"below, a file's checksum":        {"image: {tag: v1, cache: {sum: " + hex + "}}", tag, ""},
		"in the map of another":           {"worker: {image: {digest: " + sha + "}}\nimage: {tag: v1}", tag, ""},
		"two levels above":                {"digest: " + sha + "\na: {image: {tag: v1}}", []values.Target{{Key: ".a.image.tag"}}, ""},
		"above a list, which is no map's": {"digest: " + sha + "\nl: [{tag: v1}]", []values.Target{{Key: ".l[0].tag"}}, ""},
	} {
		edit, err := values.Compile(c.set)
		if err != nil {
			t.Fatal(err)
		}
		_, changed, err := edit.Apply([]byte(c.file+"\n"), values.Vars{Tag: "v2", Digest: "sha256:" + strings.Repeat("f", 64)})
		switch {
		case c.says == "" && (err != nil || !changed):
			t.Errorf("%s: changed %t, %v", name, changed, err)
		case c.says != "" && (!errors.Is(err, values.DigestWins) || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s: got %v, want %s", name, err, c.says)
		}
	}
}

// A tag that follows an anchor is one near the digests of the place that it follows to.
func TestDigestsNearATagThatFollows(t *testing.T) {
	old, next := "sha256:"+strings.Repeat("0123456789abcdef", 4), "sha256:"+strings.Repeat("f", 64)
	tag := values.Target{Key: ".tag", Anchor: "follow"}
	digest := values.Target{Key: ".pin", Value: "{digest}", Anchor: "follow"}
	for name, c := range map[string]struct {
		file string
		set  []values.Target
		says string // "" when it is edited
	}{
		"beside an alias":          {"tag: &t v1\napp: {tag: *t, digest: " + old + "}", []values.Target{tag}, "would change .app.tag, too, which has the digest digest beside it"},
		"beside, in a merged map":  {"base: &b {tag: v1}\napp: {digest: " + old + ", <<: *b}", []values.Target{{Key: ".base.tag", Anchor: "follow"}}, "would change .app.tag, too, which has the digest digest beside it"},
		"above an alias":           {"a: {tag: &t v1}\napp: {pin: " + old + ", image: {tag: *t}}", []values.Target{{Key: ".a.tag", Anchor: "follow"}}, "would change .app.image.tag, too, which has the digest pin above it"},
		"below beside an alias":    {"tag: &t v1\napp: {tag: *t, by: {digest: " + old + "}}", []values.Target{tag}, "in by beside it"},
		"the digest follows, too":  {"tag: &t v1\npin: &d " + old + "\napp: {tag: *t, digest: *d}", []values.Target{tag, digest}, ""},
		"of another place":         {"a: {tag: &t v1}\nb: {digest: " + old + "}\napp: {tag: *t}", []values.Target{{Key: ".a.tag", Anchor: "follow"}}, ""},
		"an item of a list":        {"tag: &t v1\ntags: [*t]", []values.Target{tag}, ""},
		"empty, beside an alias":   {"tag: &t v1\napp: {tag: *t, digest: ''}", []values.Target{tag}, ""},
		"only a digest that moves": {"pin: &d " + old + "\napp: {pin: *d, sha256: " + old + "}", []values.Target{digest}, ""},
	} {
		edit, err := values.Compile(c.set)
		if err != nil {
			t.Fatal(err)
		}
		_, changed, err := edit.Apply([]byte(c.file+"\n"), values.Vars{Tag: "v2", Digest: next})
		switch {
		case c.says == "" && (err != nil || !changed):
			t.Errorf("%s: changed %t, %v", name, changed, err)
		case c.says != "" && (!errors.Is(err, values.DigestWins) || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s: got %v, want %s", name, err, c.says)
		}
	}
}
