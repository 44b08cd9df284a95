package config

import (
	"reflect"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// Sets is what an update sets. In the file it is a list, or the name of one.
type Sets []Set

// Set is one scalar to set.
type Set struct {
	// Key is a yq expression that selects exactly one scalar in the file. {app}, {env}
	// and {repository} in it stand for the update's, as yq strings. Required.
	Key string `yaml:"key"`
	// Value is what it is set to; {tag}, {digest}, {digestHex} and {repository} stand
	// for the update's, {digestHex} without "sha256:". Default "{tag}".
	Value string `yaml:"value"`
	// Create adds the key to its map when it is missing; parents also adds the maps
	// that lead to it. Default false: a mistyped key is an error, not a new line that
	// nothing reads.
	Create Create `yaml:"create"`
	// Inside is the key of a literal block scalar (|) whose text is YAML of its own,
	// such as .spec.source.helm.values; Key selects in that text. Default: Key selects
	// in the file.
	Inside string `yaml:"inside"`
	// Anchor says what happens when other places use the value by an anchor: empty
	// refuses the edit, follow edits the anchor, also when Key selects an alias.
	Anchor string `yaml:"anchor"`
	// Follows lists the keys that may change with an anchor. Required in a file that
	// other apps or environments are set in; without those the default is every key.
	Follows []string `yaml:"follows"`
	// Replaces lists repositories, such as mirrors, that a reference with {repository}
	// may take the place of. {app}, {env} and {repository} in it stand for the update's.
	Replaces []string `yaml:"replaces"`
}

// Create is which keys are added. In the file it is true, false or parents.
type Create string

const (
	CreateNothing Create = ""
	CreateKey     Create = "true"
	CreateParents Create = "parents"
)

// Targets is the list as package values has it, with what stands in braces as it is
// written.
func (s Sets) Targets() []values.Target {
	targets := make([]values.Target, len(s))
	for i, set := range s {
		targets[i] = values.Target{
			Key:           set.Key,
			Value:         set.Value,
			Create:        set.Create != CreateNothing,
			CreateParents: set.Create == CreateParents,
			Inside:        set.Inside,
			Anchor:        set.Anchor,
			Follows:       set.Follows,
			Replaces:      set.Replaces,
		}
	}
	return targets
}

// presetSets is the list that a name stands for.
func presetSets(name string) (Sets, bool) {
	targets, ok := values.Preset(name)
	sets := make(Sets, len(targets))
	for i, t := range targets {
		sets[i] = Set{Key: t.Key, Value: t.Value, Inside: t.Inside, Anchor: t.Anchor, Follows: t.Follows, Replaces: t.Replaces}
		switch {
		case t.CreateParents:
			sets[i].Create = CreateParents
		case t.Create:
			sets[i].Create = CreateKey
		}
	}
	return sets, ok
}

// decodeNamed decodes what may be written in more ways than its Go type has. It
// reports whether it was such a thing.
func (d *decoder) decodeNamed(field string, node *yaml.Node, into reflect.Value) bool {
	switch named := into.Addr().Interface().(type) {
	case *Sets:
		if node.Kind != yaml.ScalarNode {
			return false
		}
		var ok bool
		if *named, ok = presetSets(node.Value); !ok {
			d.report(field, node, "must be a list, or one of %s, not %q", strings.Join(values.Presets(), ", "), gitops.Clip(node.Value, 100))
		}
		return true
	case *Bytes:
		var ok bool
		if *named, ok = parseBytes(node.Value); !ok || node.Kind != yaml.ScalarNode {
			d.report(field, node, "must be a number of bytes with its unit, such as 400MiB (B, KiB, MiB or GiB)")
			return true
		}
		d.refuseZero(field, node, int64(*named))
		return true
	case *Create:
		var add bool
		switch {
		case node.Kind == yaml.ScalarNode && node.Tag == "!!str" && node.Value == string(CreateParents):
			*named = CreateParents
		case node.Decode(&add) != nil:
			d.report(field, node, "must be true, false or parents")
		case add:
			*named = CreateKey
		}
		return true
	}
	return false
}
