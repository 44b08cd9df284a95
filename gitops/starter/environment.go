package starter

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
)

// stages are the names that environments have, by their place on the way to users.
var stages = [][]string{
	{"local", "sandbox", "sbx", "play", "playground"},
	{"dev", "develop", "devel", "development", "nonprod"},
	{"test", "testing", "tst", "qa", "ci", "int", "integration", "nightly", "preview"},
	{"stage", "staging", "stg", "stag", "uat", "acc", "acceptance"},
	{"preprod", "preproduction", "pre", "demo", "beta", "canary"},
	{"prod", "production", "prd", "live"},
	{"dr"},
}

// unknownStage is where an environment of another name stands: before production.
const unknownStage = 4

// envParents are directories whose subdirectories are environments, whatever their names.
var envParents = []string{"overlays", "overlay", "environments", "environment", "envs", "env", "clusters", "stages"}

// noEnvironment are names that stand where environments do, and are none.
var noEnvironment = []string{
	"base", "bases", "common", "commons", "default", "defaults", "template", "templates", "example", "examples", "sample", "samples",
	"global", "shared", "all", "skeleton", "components", "flux-system", "lib", "library", "global-values", "legacy", "archive",
}

func isNoEnvironment(name string) bool {
	name = strings.ToLower(name)
	return strings.HasPrefix(name, "_") || strings.HasPrefix(name, ".") || slices.Contains(noEnvironment, name)
}

// stageOf is the place of a name among the stages; -1 when it has none.
func stageOf(name string) int {
	return slices.IndexFunc(stages, func(names []string) bool { return slices.Contains(names, strings.ToLower(name)) })
}

var (
	separators = regexp.MustCompile(`[-_.]+`)
	// numbered is a name with a number behind it: prod2.
	numbered = regexp.MustCompile(`^([A-Za-z]+?)[0-9]{1,2}$`)
	// region is a part of a name that says where an environment is.
	region = regexp.MustCompile(`(?i)^(eu|us|ap|sa|ca|af|me|cn|il|uk|de|apac|emea|east|west|north|south|central|northeast|northwest|southeast|southwest|[a-z]?[0-9]{1,2}[a-z]?|blue|green)$`)
)

// part is a piece of a text with a name in it.
type part struct{ before, name, after string }

// environmentIn finds the name of an environment in the name of a directory or in a
// file's name without its ending: dev in values-dev, prod-eu in prod-eu, prod in cart.prod.
func environmentIn(text string) (p part, ok bool) {
	for _, at := range pieces(text) {
		piece := text[at.from:at.to]
		known := stageOf(piece) >= 0
		if m := numbered.FindStringSubmatch(piece); m != nil {
			known = known || stageOf(m[1]) >= 0
		}
		if known {
			from, to := widen(text, at)
			return part{text[:from], text[from:to], text[to:]}, true
		}
	}
	return part{}, false
}

// span is a piece of a text between separators.
type span struct{ from, to int }

func pieces(text string) (all []span) {
	from := 0
	for _, at := range separators.FindAllStringIndex(text, -1) {
		all, from = append(all, span{from, at[0]}), at[1]
	}
	return append(all, span{from, len(text)})
}

// widen adds the pieces beside an environment that say where it is.
func widen(text string, at span) (from, to int) {
	all := pieces(text)
	first := slices.Index(all, at)
	last := first
	for first > 0 && region.MatchString(text[all[first-1].from:all[first-1].to]) {
		first--
	}
	for last+1 < len(all) && region.MatchString(text[all[last+1].from:all[last+1].to]) {
		last++
	}
	return all[first].from, all[last].to
}

// compareEnvironments orders environments as releases reach them.
func compareEnvironments(a, b string) int {
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
}

func rank(environment string) int {
	for _, at := range pieces(environment) {
		piece := environment[at.from:at.to]
		if stage := stageOf(piece); stage >= 0 {
			return stage
		}
		if m := numbered.FindStringSubmatch(piece); m != nil && stageOf(m[1]) >= 0 {
			return stageOf(m[1])
		}
	}
	return unknownStage
}
