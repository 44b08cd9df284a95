package access_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/access"
)

// polling is shop with two registries that are polled for dev, and one of them for prod.
func polling(edits ...func(*access.Config)) access.Config {
	c := shop()
	c.Polled = map[string][]string{"dev": {"ghcr.io", "registry.example:5000"}, "prod": {"ghcr.io"}, "staging": nil}
	c.Rules = append(c.Rules,
		access.Rule{Who: access.Who{Poll: &access.Poll{Registries: []string{"ghcr.io"}}}, May: []gitops.Right{gitops.RightOrder}, Apps: []string{"*"}, Environments: []string{"dev", "prod"}},
		access.Rule{Who: access.Who{Poll: &access.Poll{Registries: []string{"registry.example:5000"}}}, May: []gitops.Right{gitops.RightOrder}, Apps: []string{"web"}, Environments: []string{"dev"}})
	for _, edit := range edits {
		edit(&c)
	}
	return c
}

const ofPoll = ofOps + 1

// Every right of a poll: what the table does not have is forbidden.
func TestEveryCellOfAPoll(t *testing.T) {
	l := newList(t, polling())
	allowed := map[string]string{
		"ghcr.io order api dev": "access[5]", "ghcr.io order web dev": "access[5]", "ghcr.io order api prod": "access[5]", "ghcr.io order web prod": "access[5]",
		"registry.example:5000 order web dev": "access[6]",
	}
	met := 0
	for _, host := range []string{"ghcr.io", "registry.example:5000", "registry.example", "ghcr.io.example", "GHCR.IO"} {
		p := gitops.Principal{Poll: host}
		for _, right := range gitops.Rights() {
			for _, app := range []string{"api", "web"} {
				for _, environment := range []string{"dev", "staging", "prod"} {
					cell := strings.Join([]string{host, string(right), app, environment}, " ")
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
	}
	if met != len(allowed) {
		t.Errorf("%d cells of %d were met", met, len(allowed))
	}
}

func TestPollRulesThatCannotBe(t *testing.T) {
	onPoll := func(edit func(*access.Poll)) func(*access.Config) {
		return func(c *access.Config) { edit(c.Rules[ofPoll].Who.Poll) }
	}
	for want, edit := range map[string]func(*access.Config){
		`access[5].may[0]: "read" is not a right that a poll can have: it can have order`: func(c *access.Config) {
			c.Rules[ofPoll].May = []gitops.Right{gitops.RightRead, gitops.RightOrder}
		},
		"access[5].apps: is missing: name each app": func(c *access.Config) { c.Rules[ofPoll].Apps = nil },
		"access[5].who: must be exactly one of push, dispatch, job, token, poll and revert|environments.dev.image.poll: no rule|environments.prod.image.poll: no rule": func(c *access.Config) {
			c.Rules[ofPoll].Who.Token, c.Rules[ofPoll].Who.Poll = "ops", nil
			c.Rules[ofPoll].Who.Push = &access.Push{Source: "eventbridge"}
		},
		"access[5].who.poll.registries: is missing: name the hosts|environments.dev.image.poll: no rule of access allows to order in dev what is found in ghcr.io: add one to access with who: {poll: {registries: [ghcr.io]}}, or remove it here|environments.prod.image.poll: no rule": onPoll(func(p *access.Poll) { p.Registries = nil }),
		`access[5].who.poll.registries[1]: "https://ghcr.io" must be a registry's host as the names of its images begin with it`:                                                                                                                                                         onPoll(func(p *access.Poll) { p.Registries = append(p.Registries, "https://ghcr.io") }),
		`access[5].who.poll.registries[1]: "ghcr.io/shop" must be a registry's host`:                                                                                                                                                                                                     onPoll(func(p *access.Poll) { p.Registries = append(p.Registries, "ghcr.io/shop") }),
		"environments.prod.image.poll: no rule of access allows to order in prod what is found in ghcr.io":                                                                                                                                                                               func(c *access.Config) { c.Rules[ofPoll].Environments = []string{"dev"} },
		"environments.dev.image.poll: no rule of access allows to order in dev what is found in registry.example:5000":                                                                                                                                                                   func(c *access.Config) { c.Rules = c.Rules[:ofPoll+1] },
		"access[5].who.poll: no environment has image.poll, so no registry is polled: give one image.poll, or remove the rule|access[6].who.poll: no environment":                                                                                                                        func(c *access.Config) { c.Polled = nil },
	} {
		got, all := problems(t, polling(edit)), strings.Split(want, "|")
		if len(got) != len(all) || !slices.EqualFunc(got, all, strings.HasPrefix) {
			t.Errorf("found %q, want %q", got, all)
		}
	}
}

// A refusal names the registry, what check prints has its rule, and a poll does not order
// an app by its name.
func TestAPollIsDescribed(t *testing.T) {
	l := newList(t, polling())
	_, err := l.Authorize(gitops.Principal{Poll: "registry.example:5000"}, gitops.RightOrder, "web", "prod")
	want := `poll of the registry registry.example:5000 may not order web in prod: the nearest rule, access[5], does not hold: registry "registry.example:5000" is not among ghcr.io (change that rule, or add one to access in the configuration)`
	if diff := cmp.Diff(want, gitops.PublicOf(err)); diff != "" {
		t.Error(diff)
	}
	_, err = newList(t, shop()).Authorize(gitops.Principal{Poll: "ghcr.io"}, gitops.RightOrder, "web", "prod")
	if want := "poll of the registry ghcr.io may not order web in prod: no rule of access is for what is found in registries: add one to the configuration"; gitops.PublicOf(err) != want {
		t.Errorf("told %v", err)
	}
	var lines []string
	for _, g := range l.Matrix() {
		lines = append(lines, g.Environment+": "+g.String())
	}
	if want := "dev: access[6]: what is found in registry.example:5000 may order web, by the answer of a registry that tallyman asked"; !slices.Contains(lines, want) {
		t.Errorf("check prints %q", lines)
	}
	if newList(t, polling(func(c *access.Config) { c.Rules[ofPoll].Environments = []string{"*"} })).OrderedByName("api", "staging") {
		t.Error("a poll passes for somebody who orders by name")
	}
}

// A rule for a registry of which nothing is polled where the rule reaches is warned of, as
// long as no app may come to be known.
func TestARuleThatNothingIsPolledFor(t *testing.T) {
	unused := polling(func(c *access.Config) {
		c.Rules = append(c.Rules, access.Rule{Who: access.Who{Poll: &access.Poll{Registries: []string{"ghcr.io", "quay.io"}}},
			May: []gitops.Right{gitops.RightOrder}, Apps: []string{"api"}, Environments: []string{"prod"}})
	})
	warned := func(c access.Config) (found []string) {
		for _, w := range newList(t, c).Warnings() {
			if strings.Contains(w.Field, "registries") {
				found = append(found, w.Public())
			}
		}
		return found
	}
	want := []string{"access[7].who.poll.registries[1]: is not polled: no app has an image in quay.io in an environment of this rule with image.poll"}
	if diff := cmp.Diff(want, warned(unused)); diff != "" {
		t.Error(diff)
	}
	unused.MayKnow = func(string) bool { return true }
	if got := warned(unused); got != nil {
		t.Errorf("with apps to come: %q", got)
	}
}
