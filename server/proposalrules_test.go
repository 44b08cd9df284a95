package server

import (
	"slices"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/proposals"
)

// What cannot work is wrong, what works but maybe not as intended is a warning, and both name the
// way out.
func TestWhatRulesDoToPullRequests(t *testing.T) {
	all := []string{"squash", "merge", "rebase"}
	const (
		noRight    = "may not open pull requests: give it the permission Pull requests: write on its own page, and have an owner of the installation approve that at https://github.example/settings/installations/7"
		topics     = "exclude refs/heads/tallyman/**/* from the ruleset"
		unsigned   = "set manifests.signing"
		noMethod   = "leave no merge method"
		onlyBot    = "Set merge: auto, or allow merge commits"
		rebase     = "GitHub does not sign what it rebases"
		noAuto     = `switch on "Allow auto-merge"`
		unguarded  = "is merged at once"
		oldWord    = "the approval of one tag merges the next one, too"
		noEvents   = "does not receive the event Pull request"
		costsWords = "may cost a pull request its approvals"
	)
	for name, c := range map[string]struct {
		change   func(f *proposalFacts)
		wrong    []string
		warnings []string
	}{
		"nothing is demanded": {change: func(*proposalFacts) {}},
		"no permission": {wrong: []string{noRight}, change: func(f *proposalFacts) {
			f.PullRequests, f.Events, f.Rules = "", nil, proposals.Rules{}
		}},
		"it may only read":        {wrong: []string{noRight}, change: func(f *proposalFacts) { f.PullRequests = "read" }},
		"no event":                {warnings: []string{noEvents}, change: func(f *proposalFacts) { f.Events = []string{"repository_dispatch"} }},
		"topics are refused":      {wrong: []string{"the rules creation, update of the repository apply to tallyman/prod/*, too", topics}, change: func(f *proposalFacts) { f.Rules.TopicRefuses = []string{"creation", "update"} }},
		"topics must be signed":   {wrong: []string{topics}, change: func(f *proposalFacts) { f.Rules.TopicRefuses = []string{signatures} }},
		"and are":                 {change: func(f *proposalFacts) { f.Rules.TopicRefuses, f.Signed = []string{signatures}, true }},
		"commits must be signed":  {wrong: []string{unsigned}, change: func(f *proposalFacts) { f.Rules.Signatures, f.Rules.Methods = true, []string{"squash", "merge"} }},
		"signed, merged":          {change: func(f *proposalFacts) { signed(f, "squash", "merge") }},
		"signed, squash alone":    {wrong: []string{onlyBot}, change: func(f *proposalFacts) { signed(f, "squash") }},
		"signed, linear":          {wrong: []string{onlyBot, "because the rule linear history forbids them"}, change: func(f *proposalFacts) { signed(f, "squash"); f.Rules.LinearHistory = true }},
		"signed, linear, by auto": {change: func(f *proposalFacts) { signed(f, "squash"); f.Rules.LinearHistory = true; auto(f) }},
		"signed, rebase, by auto": {wrong: []string{rebase}, change: func(f *proposalFacts) { signed(f, "rebase"); auto(f) }},
		"no method":               {wrong: []string{noMethod, "(linear history)"}, change: func(f *proposalFacts) { f.Rules.Methods, f.Rules.LinearHistory = nil, true }},
		"no method but a queue":   {change: func(f *proposalFacts) { f.Rules.Methods, f.Rules.Queue = nil, true }},
		"linear":                  {change: func(f *proposalFacts) { f.Rules.Methods, f.Rules.LinearHistory = []string{"squash", "rebase"}, true }},
		"auto":                    {change: auto},
		"auto, the setting off":   {wrong: []string{noAuto}, change: func(f *proposalFacts) { auto(f); f.Rules.AutoMerge = false }},
		"auto, with a queue":      {change: func(f *proposalFacts) { auto(f); f.Rules.AutoMerge, f.Rules.Queue = false, true }},
		"auto, unprotected":       {warnings: []string{unguarded}, change: func(f *proposalFacts) { f.Auto = true }},
		"auto, approvals stay":    {warnings: []string{oldWord}, change: func(f *proposalFacts) { auto(f); f.Rules.DismissStale = false }},
		"auto, the last push":     {change: func(f *proposalFacts) { auto(f); f.Rules.DismissStale, f.Rules.LastPush = false, true }},
		"approvals stay":          {change: func(f *proposalFacts) { f.Rules.Protected = true }},
		"strict":                  {change: func(f *proposalFacts) { f.Rules.Strict = true }},
		"strict, dismissing":      {warnings: []string{costsWords, "merge by a merge queue"}, change: func(f *proposalFacts) { f.Rules.Strict, f.Rules.DismissStale = true, true }},
		"strict, the last push":   {warnings: []string{costsWords}, change: func(f *proposalFacts) { f.Rules.Strict, f.Rules.LastPush = true, true }},
		"strict, by a queue":      {change: func(f *proposalFacts) { f.Rules.Strict, f.Rules.DismissStale, f.Rules.Queue = true, true, true }},
		"what is not known":       {warnings: []string{"tallyman does not know the rule"}, change: func(f *proposalFacts) { f.Rules.Unknown = []string{"tallyman does not know the rule x"} }},
		"all at once": {
			wrong: []string{topics, unsigned, onlyBot}, warnings: []string{noEvents, costsWords},
			change: func(f *proposalFacts) {
				f.Events = nil
				f.Rules = proposals.Rules{TopicRefuses: []string{"creation"}, Signatures: true, Methods: []string{"squash"}, Strict: true, LastPush: true}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := proposalFacts{
				Environment: "prod", Branch: "main", Topics: "tallyman/prod/*", App: "shop-tallyman", PullRequests: "write", Events: []string{"pull_request"},
				ApproveAt: "https://github.example/settings/installations/7", Rules: proposals.Rules{Methods: slices.Clone(all)},
			}
			c.change(&f)
			got := f.judge()
			says(t, "wrong", got.wrong, c.wrong)
			says(t, "warnings", got.warnings, c.warnings)
		})
	}
}

// auto has GitHub merge, by rules that let it.
func auto(f *proposalFacts) {
	f.Auto, f.Rules.Protected, f.Rules.AutoMerge, f.Rules.DismissStale = true, true, true, true
}

// signed has commits signed, as the rules demand, and merged by the methods.
func signed(f *proposalFacts, methods ...string) {
	f.Signed, f.Rules.Signatures, f.Rules.Methods = true, true, methods
}

// says wants each text in a sentence, and no sentence that has none of them.
func says(t *testing.T, kind string, sentences, texts []string) {
	t.Helper()
	met := make(map[string]bool)
	for _, sentence := range sentences {
		found := false
		for _, text := range texts {
			if strings.Contains(sentence, text) {
				met[text], found = true, true
			}
		}
		if !found {
			t.Errorf("%s: %q is said", kind, sentence)
		}
	}
	for _, text := range texts {
		if !met[text] {
			t.Errorf("%s: nothing says %q", kind, text)
		}
	}
}
