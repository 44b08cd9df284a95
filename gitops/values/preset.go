package values

import (
	"slices"
	"strings"
)

// Preset returns the targets of a common layout:
//
//	helm         .image.tag
//	helm-digest  .image.tag and .image.digest, which charts prefer when it is set
//	kustomize    newTag of the entry in a kustomization's images whose name is the app's or the
//	             image's, or whose newName is the image's
//	kustomize-digest  newTag and digest of that entry, which get them when it has none
//	image        .image, a full reference: {repository}:{tag}
//
// The keys may name {app}, {env} and {repository}; [Bind] fills them.
func Preset(name string) ([]Target, bool) {
	switch name {
	case "helm":
		return []Target{{Key: ".image.tag", Value: "{tag}"}}, true
	case "helm-digest":
		return []Target{
			{Key: ".image.tag", Value: "{tag}"},
			{Key: ".image.digest", Value: "{digest}"},
		}, true
	case "kustomize":
		return []Target{{Key: kustomizeImage + " | .newTag", Value: "{tag}"}}, true
	case "kustomize-digest":
		return []Target{
			{Key: kustomizeImage + " | .newTag", Value: "{tag}", Create: true},
			{Key: kustomizeImage + " | .digest", Value: "{digest}", Create: true},
		}, true
	case "image":
		return []Target{{Key: ".image", Value: "{repository}:{tag}"}}, true
	}
	return nil, false
}

// kustomizeImage selects the entry of the app's image. An image that is renamed has
// the app's repository as newName.
const kustomizeImage = `.images[] | select(.name == {app} or .name == {repository} or .newName == {repository})`

// Presets lists the names that [Preset] knows.
func Presets() []string {
	return []string{"helm", "helm-digest", "kustomize", "kustomize-digest", "image"}
}

// Names are what a configured key may name in braces.
type Names struct {
	App, Environment, Repository string
}

// Bind fills {app}, {env} and {repository} in the targets' keys and in what they may
// replace. In a key ([Target.Key], Inside, Follows) they become yq string literals
// or, within a literal, stand as they are: .apps[{app}].tag and .apps["x-{app}"].tag.
// All of them come from the configuration. It is the only text that is ever put into an
// expression: what a payload names goes into values alone, and those are no
// code. [Compile] rejects what is left of a key whose braces Bind did not fill.
func Bind(targets []Target, names Names) []Target {
	bound := make([]Target, len(targets))
	for i, t := range targets {
		t.Key, t.Inside = names.bind(t.Key), names.bind(t.Inside)
		t.Follows, t.Replaces = slices.Clone(t.Follows), slices.Clone(t.Replaces)
		for i := range t.Follows {
			t.Follows[i] = names.bind(t.Follows[i])
		}
		for i := range t.Replaces {
			t.Replaces[i] = names.fill("").Replace(t.Replaces[i])
		}
		bound[i] = t
	}
	return bound
}

// bind fills a key.
func (n Names) bind(key string) string {
	if !strings.Contains(key, "{") {
		return key
	}
	// A quote or a backslash would end the literal; no name has one.
	clean := strings.NewReplacer(`"`, "", `\`, "")
	n = Names{clean.Replace(n.App), clean.Replace(n.Environment), clean.Replace(n.Repository)}
	inside, outside := n.fill(""), n.fill(`"`)
	segments := strings.Split(key, `"`)
	for i := range segments {
		if i%2 == 0 {
			segments[i] = outside.Replace(segments[i])
		} else {
			segments[i] = inside.Replace(segments[i])
		}
	}
	return strings.Join(segments, `"`)
}

// fill puts the names in the place of the braces, between quotes.
func (n Names) fill(quote string) *strings.Replacer {
	return strings.NewReplacer("{app}", quote+n.App+quote, "{env}", quote+n.Environment+quote, "{repository}", quote+n.Repository+quote)
}
