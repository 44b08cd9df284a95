package server

import (
	"errors"
	"maps"
	"reflect"
	"slices"

	"github.com/tallyman-dev/tallyman/gitops/discover"
	"github.com/tallyman-dev/tallyman/gitops/values"
	"github.com/tallyman-dev/tallyman/server/catalog"
	"github.com/tallyman-dev/tallyman/server/config"
)

// buildLooks compiles what the branch of each manifest repository is looked through for.
// What was found before counts on where the entry that found it stays; of a repository
// that stays as it is not even the next look begins from nothing. before is nil for the
// first configuration.
func buildLooks(c config.Config, within values.Limits, before *generation) (looks []catalog.Look, err error) {
	entries := make(map[string][]int)
	for i, d := range c.Discover {
		entries[d.Manifests] = append(entries[d.Manifests], i)
	}
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		look := catalog.Look{Manifests: name, Entries: entries[name]}
		if was, ok := lookOf(before, name); ok {
			if sameRules(before, was, c, look, within) {
				was.Entries = look.Entries
				looks = append(looks, was)
				continue
			}
			look.Result, look.Kept = keepFound(before.config, was, c, look), true
		}
		rules, err := discover.Compile(rulesOf(c, look.Entries, within))
		if err != nil { // its apps are not looked for, and the configuration is not put in force
			problems = append(problems, err)
			continue
		}
		look.Rules = rules
		looks = append(looks, look)
	}
	return looks, errors.Join(problems...)
}

// lookOf is what a generation knows of the branch of a manifest repository.
func lookOf(g *generation, manifests string) (catalog.Look, bool) {
	if g == nil {
		return catalog.Look{}, false
	}
	return g.known().Look(manifests)
}

// rulesOf is the configuration of entries as package discover has it.
func rulesOf(c config.Config, entries []int, within values.Limits) discover.Config {
	rules := discover.Config{
		Environments: slices.Sorted(maps.Keys(c.Environments)), Limits: within,
		Set: func(environment string) []values.Target { return c.Target(environment, "").Files[0].Set.Targets() },
	}
	for _, i := range entries {
		d := c.Discover[i]
		rules.Entries = append(rules.Entries, discover.Entry{
			Field: config.DiscoverField(i), File: d.File, Exclude: d.Exclude, Environments: d.Environments, Repository: d.Repository,
			RepositoryKey: d.RepositoryKey, Set: targetsOf(d.Set), Also: filesAlso(d.Also), AppFile: d.AppFile,
		})
	}
	return rules
}

// targetsOf keeps nil for a set that is not there.
func targetsOf(s config.Sets) []values.Target {
	if s == nil {
		return nil
	}
	return s.Targets()
}

func filesAlso(also []config.Also) (files []discover.File) {
	for _, f := range also {
		files = append(files, discover.File{Path: f.File, Set: targetsOf(f.Set)})
	}
	return files
}

// sameRules reports whether rules would find the same in the same branch.
func sameRules(before *generation, was catalog.Look, c config.Config, now catalog.Look, within values.Limits) bool {
	return sameBranch(before.config, c, now.Manifests) && slices.Equal(was.Entries, now.Entries) &&
		reflect.DeepEqual(withoutSets(rulesOf(before.config, was.Entries, before.within)), withoutSets(rulesOf(c, now.Entries, within))) &&
		reflect.DeepEqual(setsOf(before.config), setsOf(c))
}

func withoutSets(c discover.Config) discover.Config {
	c.Set = nil
	return c
}

// setsOf are what updates set in each environment by default.
func setsOf(c config.Config) map[string]config.Sets {
	sets := make(map[string]config.Sets)
	for environment := range c.Environments {
		sets[environment] = c.Target(environment, "").Files[0].Set
	}
	return sets
}

func sameBranch(before, now config.Config, manifests string) bool {
	was, is := before.ManifestRepositories()[manifests], now.ManifestRepositories()[manifests]
	return was.URL == is.URL && was.Branch == is.Branch
}

// keepFound is what entries that stay have found, until the branch is looked at again. It
// is nil where that is nothing.
func keepFound(before config.Config, was catalog.Look, c config.Config, now catalog.Look) *discover.Result {
	if was.Result == nil || !sameBranch(before, c, now.Manifests) {
		return nil
	}
	stays := make(map[int]int) // places of entries in the rules before, and now
	for i, old := range was.Entries {
		for n, entry := range now.Entries {
			if reflect.DeepEqual(before.Discover[old], c.Discover[entry]) {
				stays[i] = n
			}
		}
	}
	kept := &discover.Result{}
	for _, f := range was.Result.Found {
		n, ok := stays[f.Entry]
		if _, configured := c.Environments[f.Environment]; !ok || !configured {
			continue
		}
		moved := *f
		moved.Entry = n
		if f.Origin == config.DiscoverField(was.Entries[f.Entry]) {
			moved.Origin = config.DiscoverField(now.Entries[n])
		}
		kept.Found = append(kept.Found, &moved)
	}
	return kept
}
