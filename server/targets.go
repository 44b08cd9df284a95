package server

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest"
	"github.com/tallyman-dev/tallyman/gitops/values"
	"github.com/tallyman-dev/tallyman/server/config"
)

// buildTargets compiles the edit of every app in every environment.
func buildTargets(c config.Config, within values.Limits) (map[target]fileEdits, error) {
	all := wanted(c)
	targets := make(map[target]fileEdits, len(all))
	problems := make(map[string]error) // by field: one wrong key is one problem, not one for each app
	claims := claims{writes: make(map[string]target, len(all)), keys: make(map[string]string)}
	edits := edits{within: within, compiled: make(map[string]*values.Edit)}
	inFile := make(map[string]int, len(all))
	for _, w := range all {
		for _, f := range w.Files {
			inFile[f.File]++
		}
	}
	for _, w := range all {
		err := w.CheckFiles()
		to := make(fileEdits, 0, len(w.Files))
		for i := 0; err == nil && i < len(w.Files); i++ {
			f := w.Files[i]
			sets := bound(w, f, inFile[f.File] > 1)
			var edit *values.Edit
			if edit, err = edits.compile(f, sets); err == nil {
				to = append(to, manifest.FileEdit{File: f.File, Editor: edit})
				err = claims.claim(w.target, f, sets)
			}
		}
		if targets[w.target] = to; err != nil && problems[err.Field] == nil {
			problems[err.Field] = err
		}
	}
	sorted := slices.Sorted(maps.Keys(problems))
	joined := make([]error, len(sorted))
	for i, field := range sorted {
		joined[i] = problems[field]
	}
	return targets, errors.Join(joined...)
}

// wantedTarget is a target with what the configuration says of it.
type wantedTarget struct {
	target
	config.Target
}

// wanted lists every app in every environment that it runs in.
func wanted(c config.Config) []wantedTarget {
	updates := 0
	for _, app := range c.Apps {
		updates += environmentsOf(c, app)
	}
	all := make([]wantedTarget, 0, updates)
	everywhere := slices.Sorted(maps.Keys(c.Environments))
	for _, name := range slices.Sorted(maps.Keys(c.Apps)) {
		environments := c.Apps[name].Environments
		if len(environments) == 0 {
			environments = everywhere
		}
		for i, environment := range environments {
			if slices.Contains(environments[:i], environment) { // the policy says so
				continue
			}
			all = append(all, wantedTarget{target{environment, name}, c.Target(environment, name)})
		}
	}
	return all
}

// bound is what updates of a target set in one of its files.
func bound(w wantedTarget, f config.TargetFile, shared bool) []values.Target {
	sets := values.Bind(f.Set.Targets(), values.Names{App: w.app, Environment: w.environment, Repository: w.Repository})
	for i := range sets {
		sets[i].Shared = shared
	}
	return sets
}

// checkFollows wants the keys that may change with an anchor named where a file has
// more than one target: who may order one of them may not order the others by it.
func checkFollows(f config.TargetFile, sets []values.Target) *gitops.Error {
	for i, set := range sets {
		if set.Anchor != "" && set.Shared && len(set.Follows) == 0 {
			return gitops.FieldErrorf(fmt.Sprintf("%s[%d].follows", f.Field, i),
				"is required with anchor: %s in %s, where other apps or environments are set, too: list the keys that may change with it", set.Anchor, f.File)
		}
	}
	return nil
}

// claims are what the updates of targets write.
type claims struct {
	writes map[string]target // by file and key
	keys   map[string]string // spellings of keys that were met, and what is the same for all of one key
}

// claim notes what the updates of one target write in a file, and rejects what another
// writes already: a tag of dev would end up in prod's place.
func (c claims) claim(at target, f config.TargetFile, sets []values.Target) *gitops.Error {
	for i, set := range sets {
		place := f.File
		for _, key := range []string{set.Inside, set.Key} {
			same, err := c.sameKey(key)
			if err != nil { // the edit would not have been compiled
				return gitops.FieldErrorf(fmt.Sprintf("%s[%d].key", f.Field, i), "%s", gitops.PublicOf(err))
			}
			place += "\x00" + same
		}
		if other, taken := c.writes[place]; taken {
			return gitops.FieldErrorf(cmp.Or(f.Also, f.Field), "updates of %s in %s and of %s in %s would both set %s in %s: give them different files or keys",
				other.app, other.environment, at.app, at.environment, set.Key, f.File)
		}
		c.writes[place] = at
	}
	return nil
}

// sameKey is [values.SameKey], once for each spelling.
func (c claims) sameKey(key string) (string, error) {
	same, met := c.keys[key]
	if met || key == "" {
		return same, nil
	}
	same, err := values.SameKey(key)
	if err == nil {
		c.keys[key] = same
	}
	return same, err
}

// edits are compiled edits by what they set. Most apps set the same key: it is
// compiled once, and every target has the same edit, not 8,000 of them.
type edits struct {
	within   values.Limits
	compiled map[string]*values.Edit
}

// compile compiles what is set in a file.
func (all edits) compile(f config.TargetFile, sets []values.Target) (*values.Edit, *gitops.Error) {
	if err := checkFollows(f, sets); err != nil {
		return nil, err
	}
	what := identify(sets)
	if edit, ok := all.compiled[what]; ok {
		return edit, nil
	}
	edit, err := values.Compile(sets)
	var e *gitops.Error
	if errors.As(err, &e) {
		e.Field = f.Field + e.Field
		return nil, e
	}
	edit = edit.Within(all.within)
	all.compiled[what] = edit
	return edit, nil
}

// identify is a text that no other targets have.
func identify(sets []values.Target) string {
	var text []byte
	for _, set := range sets {
		for _, part := range []string{set.Key, set.Value, set.Inside, set.Anchor} {
			text = strconv.AppendQuote(text, part)
		}
		for _, list := range [][]string{set.Follows, set.Replaces} {
			for _, part := range list {
				text = strconv.AppendQuote(text, part)
			}
			text = append(text, ';')
		}
		for _, is := range []bool{set.Create, set.CreateParents, set.Shared} {
			text = strconv.AppendBool(text, is)
		}
	}
	return string(text)
}
