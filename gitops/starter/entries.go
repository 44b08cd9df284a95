package starter

import (
	"fmt"
	"slices"

	"github.com/tallyman-dev/tallyman/gitops/discover"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// Entries are the patterns of the proposal, as the discovery has them.
func (f *Findings) Entries() []discover.Entry {
	entries := make([]discover.Entry, len(f.entries))
	for i, e := range f.entries {
		entries[i] = discover.Entry{
			Field: fmt.Sprintf("discover[%d]", i), File: e.file, Exclude: slices.Clone(e.exclude),
			Environments: e.only(), Repository: e.repository, RepositoryKey: e.repositoryKey, Set: e.targets(),
		}
	}
	return entries
}

// only are the environments that the entry is for; nil for all.
func (e *entry) only() []string {
	if e.fixed != "" {
		return []string{e.fixed}
	}
	return e.environments
}

// targets are what an update sets.
func (e *entry) targets() []values.Target {
	if list, ok := values.Preset(e.key); ok && len(e.more) == 0 {
		return list
	}
	var all []values.Target
	for _, key := range e.keys() {
		all = append(all, values.Target{Key: key, Value: e.value, Inside: e.inside})
	}
	return all
}

// keys are the keys that an update sets, where they are not a common list by itself.
func (e *entry) keys() []string {
	keys := append([]string{e.key}, e.more...)
	for i, key := range keys {
		if list, ok := values.Preset(key); ok {
			keys[i] = list[0].Key
		}
	}
	return keys
}

// Environments are the environments of the proposal, in the order in which releases
// reach them.
func (f *Findings) Environments() []string { return slices.Clone(f.environments) }
