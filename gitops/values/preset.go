package values

import "strings"

// Preset returns the targets of a common layout:
//
//	helm         .image.tag
//	helm-digest  .image.tag and .image.digest, which charts prefer when it is set
//	kustomize    newTag of the entry in a kustomization's images whose name is the app's or the image's
//	image        .image, a full reference: {repository}:{tag}
//
// The keys may name {app} and {repository}; [Bind] fills them.
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
		return []Target{{
			Key:   `.images[] | select(.name == {app} or .name == {repository}) | .newTag`,
			Value: "{tag}",
		}}, true
	case "image":
		return []Target{{Key: ".image", Value: "{repository}:{tag}"}}, true
	}
	return nil, false
}

// Presets lists the names that [Preset] knows.
func Presets() []string { return []string{"helm", "helm-digest", "kustomize", "image"} }

// Bind fills {app} and {repository} in the targets' keys, as yq string literals
// or, within a literal, as they are: .apps[{app}].tag and .apps["x-{app}"].tag.
// Both come from the configuration. It is the only text that is ever put into an
// expression: what a payload names goes into values alone, and those are no
// code. [Compile] rejects what is left of a key whose braces Bind did not fill.
func Bind(targets []Target, app, repository string) []Target {
	bound := make([]Target, len(targets))
	for i, t := range targets {
		t.Key = bind(t.Key, app, repository)
		bound[i] = t
	}
	return bound
}

func bind(key, app, repository string) string {
	if !strings.Contains(key, "{") {
		return key
	}
	// A quote or a backslash would end the literal; no app and no image has one.
	clean := strings.NewReplacer(`"`, "", `\`, "")
	inside := strings.NewReplacer("{app}", clean.Replace(app), "{repository}", clean.Replace(repository))
	outside := strings.NewReplacer("{app}", `"`+clean.Replace(app)+`"`, "{repository}", `"`+clean.Replace(repository)+`"`)
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
