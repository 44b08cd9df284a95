package starter

import "slices"

// Lists of sets that have a name in the configuration.
const (
	setHelm            = "helm"
	setHelmDigest      = "helm-digest"
	setKustomize       = "kustomize"
	setKustomizeDigest = "kustomize-digest"
	setImage           = "image"
)

// keys are the site's key, and that of the text that it is in, with {app} and {env} in
// the places of the names; or the name of a common list.
func (t *site) keys() (inside, key string) {
	inside = renderKey(t.generalize(t.spot.inside))
	if name := t.preset(); name != "" && inside == "" {
		return "", name
	}
	return inside, renderKey(t.generalize(t.key))
}

// generalize puts the placeholders into a key.
func (t *site) generalize(key []step) []step {
	general := make([]step, len(key))
	for i, s := range key {
		if s.name != "" {
			s.name = t.placeholder(s.name)
		}
		s.fields = slices.Clone(s.fields)
		for j := range s.fields {
			s.fields[j].value = t.placeholder(s.fields[j].value)
		}
		general[i] = s
	}
	return general
}

func (t *site) placeholder(text string) string {
	switch {
	case text == t.app && (t.appAt >= t.segments || !slices.Contains(keyWords, text)):
		return appName
	case text == t.environment && t.envAt >= t.segments:
		return envName
	}
	return text
}

// preset is the name of the common list that sets what the site has; empty for a key of
// its own.
func (t *site) preset() string {
	digest := func(without, with string) string {
		if t.digest {
			return with
		}
		return without
	}
	switch key := t.key; {
	case t.value == referenceValue && len(key) == 1 && key[0].name == "image":
		return setImage
	case t.value != tagValue:
		return ""
	case len(key) == 2 && key[0].name == "image" && key[1].name == "tag":
		return digest(setHelm, setHelmDigest)
	case len(key) == 3 && key[0].name == "images" && key[1].list && len(key[1].fields) == 1 && key[1].fields[0].key == "name" && key[2].name == "newTag":
		if t.tag == "" {
			return setKustomizeDigest
		}
		if name := key[1].fields[0].value; name == t.app || t.repository != "" {
			return digest(setKustomize, setKustomizeDigest)
		}
	}
	return ""
}

// isPreset reports whether a key is the name of a common list.
func isPreset(key string) bool {
	return slices.Contains([]string{setHelm, setHelmDigest, setKustomize, setKustomizeDigest, setImage}, key)
}
