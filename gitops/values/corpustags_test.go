package values_test

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	yaml "go.yaml.in/yaml/v4"

	"github.com/tallyman-dev/tallyman/gitops/values"
)

// found is one image tag in a file, as the targets that set it: the tag, and the
// digests beside it.
type found struct {
	targets    []values.Target
	repository string
	old        string
}

// imageTags finds what people have bots set: tag: beside an image's name,
// newTag: of a kustomization, and whole references.
func imageTags(file []byte) []found {
	var documents []*yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(file))
	for {
		var doc yaml.Node
		if err := d.Decode(&doc); err != nil || len(doc.Content) == 0 {
			break
		}
		documents = append(documents, doc.Content[0])
	}
	var all []found
	for i, doc := range documents {
		tags := findTags(nil, doc, "", "")
		for _, f := range tags {
			for j := range f.targets {
				if len(documents) > 1 {
					f.targets[j].Key = fmt.Sprintf("select(document_index == %d) | %s", i, f.targets[j].Key)
				}
			}
		}
		all = append(all, tags...)
	}
	return all
}

func findTags(all []found, n *yaml.Node, path, name string) []found {
	switch n.Kind {
	case yaml.SequenceNode:
		for i, item := range n.Content {
			all = findTags(all, item, fmt.Sprintf("%s[%d]", path, i), name)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, v := n.Content[i], n.Content[i+1]
			if k.Kind == yaml.AliasNode { // *app : the key is what the alias stands for
				k = k.Alias
			}
			at := step(path, k.Value)
			if f, ok := tagAt(n, k.Value, v, at, name); ok && v.Kind != yaml.MappingNode && v.Kind != yaml.SequenceNode {
				f.old = v.Value
				f.targets = append(f.targets, pins(n, path, v)...)
				all = append(all, f)
				continue
			}
			all = findTags(all, v, at, k.Value)
		}
	}
	return all
}

func step(path, key string) string {
	if path == "" {
		path = "."
	}
	return path + `["` + key + `"]`
}

func tagAt(m *yaml.Node, key string, v *yaml.Node, path, parent string) (found, bool) {
	lower := strings.ToLower(key)
	tag := found{targets: []values.Target{{Key: path, Value: "{tag}"}}}
	if strings.Contains(v.Value, "@sha256:") { // who pins goes on pinning
		tag.targets[0].Value = "{tag}@{digest}"
	}
	switch {
	case lower == "newtag":
		if name := valueOf(m, "name"); name != "" && parent == "images" {
			tag.targets[0].Key = fmt.Sprintf(`.images[] | select(.name == "%s") | .newTag`, name)
		}
		return tag, true
	case lower == "tag":
		isImage := strings.HasSuffix(strings.ToLower(parent), "image")
		for _, sibling := range []string{"repository", "registry", "pullPolicy", "digest"} {
			isImage = isImage || has(m, sibling)
		}
		return tag, isImage
	case strings.HasSuffix(lower, "imagetag"), strings.HasSuffix(lower, "image_tag"):
		return tag, true
	case lower == "image" && v.Kind == yaml.ScalarNode:
		image, _, pinned := strings.Cut(v.Value, "@")
		colon := strings.LastIndex(image, ":")
		if colon <= 0 || strings.Contains(image[colon:], "/") {
			return found{}, false
		}
		tag.targets[0].Value = "{repository}:{tag}"
		if pinned {
			tag.targets[0].Value += "@{digest}"
		}
		tag.repository = image[:colon]
		return tag, true
	}
	return found{}, false
}

func valueOf(m *yaml.Node, key string) string {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return m.Content[i+1].Value
		}
	}
	return ""
}

func has(m *yaml.Node, key string) bool {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return true
		}
	}
	return false
}

// pins are targets for the digests beside a tag, which would win over it.
func pins(m *yaml.Node, path string, tag *yaml.Node) (targets []values.Target) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if v := m.Content[i+1]; v != tag && v.Kind == yaml.ScalarNode && pinned.MatchString(v.Value) {
			targets = append(targets, values.Target{Key: step(path, m.Content[i].Value), Value: "{digest}"})
		}
	}
	return targets
}

var pinned = regexp.MustCompile(`^(sha256:)?[0-9a-f]{64}$`)
