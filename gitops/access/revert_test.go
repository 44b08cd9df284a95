package access_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/access"
)

// reverting is shop where tallyman goes back from what does not run in staging and prod, and
// may do that of api alone in prod.
func reverting(edits ...func(*access.Config)) access.Config {
	c := shop()
	c.Reverted = []string{"prod", "staging"}
	c.Rules = append(c.Rules,
		access.Rule{Who: access.Who{Revert: true}, May: []gitops.Right{gitops.RightRollback}, Apps: []string{"*"}, Environments: []string{"staging"}},
		access.Rule{Who: access.Who{Revert: true}, May: []gitops.Right{gitops.RightRollback}, Apps: []string{"api"}, Environments: []string{"prod"}})
	for _, edit := range edits {
		edit(&c)
	}
	return c
}

const ofRevert = ofOps + 1

// Every right of a revert: what the table does not have is forbidden.
func TestEveryCellOfARevert(t *testing.T) {
	l := newList(t, reverting())
	allowed := map[string]string{"rollback api staging": "access[5]", "rollback web staging": "access[5]", "rollback api prod": "access[6]"}
	met := 0
	for _, right := range gitops.Rights() {
		for _, app := range []string{"api", "web"} {
			for _, environment := range []string{"dev", "staging", "prod"} {
				cell := strings.Join([]string{string(right), app, environment}, " ")
				p := gitops.Principal{Revert: true}
				rule, err := l.Authorize(p, right, app, environment)
				if rule != allowed[cell] || (err == nil) != (rule != "") || l.Scope(p, right).Allows(app, environment) != (err == nil) {
					t.Errorf("%s: %q, %v, want %q", cell, rule, err, allowed[cell])
				}
				if rule != "" {
					met++
				}
			}
		}
	}
	if met != len(allowed) {
		t.Errorf("%d cells of %d were met", met, len(allowed))
	}
}

func TestRevertRulesThatCannotBe(t *testing.T) {
	const noRule = `environments.prod.rollout.revert: no rule of access allows tallyman to go back in prod: add {who: {revert: {}}, may: [rollback], apps: ["*"], environments: [prod]} to access, or remove it here`
	for want, edit := range map[string]func(*access.Config){
		`access[5].may[1]: "order" is not a right that a revert can have: it can have rollback`: func(c *access.Config) {
			c.Rules[ofRevert].May = append(c.Rules[ofRevert].May, gitops.RightOrder)
		},
		"access[5].apps: is missing: name each app":                                         func(c *access.Config) { c.Rules[ofRevert].Apps = nil },
		"access[5].environments: is missing: name each":                                     func(c *access.Config) { c.Rules[ofRevert].Environments = nil },
		"access[5].who: must be exactly one of push, dispatch, job, token, poll and revert": func(c *access.Config) { c.Rules[ofRevert].Who.Token = "ops" },
		noRule: func(c *access.Config) { c.Rules = c.Rules[:ofRevert+1] },
		"access[5].who.revert: no environment has rollout.revert: true, so nothing is reverted: set it for one, or remove the rule|access[6].who.revert: no environment": func(c *access.Config) { c.Reverted = nil },
	} {
		got, all := problems(t, reverting(edit)), strings.Split(want, "|")
		if len(got) != len(all) || !slices.EqualFunc(got, all, strings.HasPrefix) {
			t.Errorf("found %q, want %q", got, all)
		}
	}
}

// A refusal names the nearest rule, what check prints has its own, and a rule for reverts is
// not warned of for being wide: it does nothing where the environment does not say so.
func TestARevertIsDescribed(t *testing.T) {
	l := newList(t, reverting(func(c *access.Config) { c.Rules[ofRevert].Environments = []string{"*"} }))
	_, err := newList(t, reverting()).Authorize(gitops.Principal{Revert: true}, gitops.RightRollback, "web", "prod")
	want := `tallyman itself, for a revert, may not rollback web in prod: the nearest rule, access[6], does not hold: app "web" is not among api (change that rule, or add one to access in the configuration)`
	if diff := cmp.Diff(want, gitops.PublicOf(err)); diff != "" {
		t.Error(diff)
	}
	_, err = newList(t, shop()).Authorize(gitops.Principal{Revert: true}, gitops.RightRollback, "web", "prod")
	if want := "tallyman itself, for a revert, may not rollback web in prod: no rule of access is for what tallyman reverts: add one to the configuration"; gitops.PublicOf(err) != want {
		t.Errorf("told %v", err)
	}
	var lines []string
	for _, g := range l.Matrix() {
		lines = append(lines, g.Environment+": "+g.String())
	}
	if want := "prod: access[6]: tallyman itself, for a revert, may rollback api, by the environment's rollout.revert"; !slices.Contains(lines, want) {
		t.Errorf("check prints %q", lines)
	}
	for _, w := range l.Warnings() {
		if strings.HasPrefix(w.Field, "access[5]") {
			t.Errorf("warned: %s", w.Public())
		}
	}
}
