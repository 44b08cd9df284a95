package access_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/access"
)

func some[T any](r *rand.Rand, of ...T) []T {
	var chosen []T
	for len(chosen) == 0 {
		for _, item := range of {
			if r.IntN(2) == 0 {
				chosen = append(chosen, item)
			}
		}
	}
	return chosen
}

func one[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// randomRule makes any rule that the names of shop allow.
func randomRule(r *rand.Rand) access.Rule {
	rule := access.Rule{
		May:          []gitops.Right{gitops.RightOrder},
		Apps:         one(r, []string{"*"}, some(r, "api", "web")),
		Environments: one(r, []string{"*"}, some(r, "dev", "staging", "prod")),
	}
	switch r.IntN(6) {
	case 0:
		rule.Who.Push = &access.Push{Source: "eventbridge", Accounts: one(r, nil, some(r, "123456789012", "000000000001"))}
	case 1:
		rule.Who.Dispatch = &access.Dispatch{Repository: "shop/api", RepositoryID: one(r, int64(17), 18), Senders: one(r, nil, some(r, "ann", "bob")), SenderIDs: one(r, nil, some(r, int64(3), 4))}
	case 2:
		rule.Who.Job = &access.Job{
			Repository: "shop/api", RepositoryID: one(r, "17", "18"), OwnerID: "4", Refs: some(r, "refs/tags/v*", "refs/heads/main"),
			RefProtected: r.IntN(2) == 0, GitHubEnvironment: one(r, "", "prod"), Events: some(r, "push", "release"),
		}
		rule.May = some(r, gitops.RightRead, gitops.RightOrder, gitops.RightReport)
	case 3:
		rule.Who.Poll = &access.Poll{Registries: some(r, "ghcr.io", "registry.example:5000")}
	case 4:
		rule.Who.Revert, rule.May = true, []gitops.Right{gitops.RightRollback}
	default:
		rule.Who.Token = one(r, "board", "ops")
		rule.May = some(r, gitops.Rights()...)
		rule.Apps = one(r, nil, rule.Apps)
	}
	return rule
}

// randomQuestion asks for something that one of the rules may allow.
func randomQuestion(r *rand.Rand) (gitops.Principal, gitops.Right, string, string) {
	p := one(r, push(), dispatch(), job(), gitops.Principal{Poll: "ghcr.io"}, gitops.Principal{Poll: "registry.example:5000"}, gitops.Principal{Revert: true}, gitops.Principal{Token: "board"}, gitops.Principal{Token: "ops"}, gitops.Principal{},
		edited(func(j *gitops.Job) { j.Ref, j.Environment = "refs/heads/main", "" }),
		edited(func(j *gitops.Job) { j.RepositoryID, j.RefProtected = "18", false }))
	return p, one(r, gitops.Rights()...), one(r, "api", "web", "other"), one(r, "dev", "staging", "prod", "other")
}

// newLists makes the list of some rules, on top of those by which everybody who is
// configured is named and that allow nothing that is asked.
func listOf(t *testing.T, rules []access.Rule) *access.List {
	t.Helper()
	c := shop()
	for i := range c.Rules {
		c.Rules[i].Apps, c.Rules[i].Environments = []string{"unused"}, []string{"dev"}
	}
	c.Apps["unused"], c.Polled, c.Reverted = nil, map[string][]string{"dev": nil}, []string{"dev"}
	c.Rules = append(c.Rules, access.Rule{Who: access.Who{Revert: true}, May: []gitops.Right{gitops.RightRollback}, Apps: []string{"unused"}, Environments: []string{"dev"}})
	c.Rules = append(c.Rules, rules...)
	return newList(t, c)
}

func allows(l *access.List, p gitops.Principal, right gitops.Right, app, environment string) bool {
	_, err := l.Authorize(p, right, app, environment)
	return err == nil
}

// One more rule takes no right away, the order of rules decides nothing, what a list
// allows is what one of its rules allows, and a scope says what Authorize does.
func TestWhatHoldsOfEveryList(t *testing.T) {
	allowed := 0
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 1))
		rules := make([]access.Rule, 1+r.IntN(6))
		for i := range rules {
			rules[i] = randomRule(r)
		}
		list, more := listOf(t, rules), listOf(t, append(slices.Clone(rules), randomRule(r)))
		shuffled := slices.Clone(rules)
		r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		other := listOf(t, shuffled)
		var each []*access.List
		for _, rule := range rules {
			each = append(each, listOf(t, []access.Rule{rule}))
		}
		for range 60 {
			p, right, app, environment := randomQuestion(r)
			is := allows(list, p, right, app, environment)
			if is {
				allowed++
			}
			if is && !allows(more, p, right, app, environment) {
				t.Fatalf("seed %d: another rule takes %s of %s in %s from %s", seed, right, app, environment, access.Describe(p))
			}
			if is != allows(other, p, right, app, environment) {
				t.Fatalf("seed %d: the order of rules decides %s of %s in %s for %s", seed, right, app, environment, access.Describe(p))
			}
			if by := slices.ContainsFunc(each, func(l *access.List) bool { return allows(l, p, right, app, environment) }); by != is {
				t.Fatalf("seed %d: together the rules allow %t, one by one %t", seed, is, by)
			}
			scope := list.Scope(p, right)
			in := slices.ContainsFunc(scope.Areas(), func(a access.Area) bool {
				return (a.App == "" || a.App == app) && (a.Environment == "" || a.Environment == environment)
			})
			if scope.Allows(app, environment) != is || in != is || scope.All() && !is || scope.Empty() && is || scope.Empty() != (list.AuthorizeAnywhere(p, right) != nil) {
				t.Fatalf("seed %d: the scope of %s differs from what is authorized (%t)", seed, access.Describe(p), is)
			}
		}
	}
	if allowed < 500 {
		t.Errorf("only %d questions were allowed", allowed)
	}
}
