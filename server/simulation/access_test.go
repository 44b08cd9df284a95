package simulation

import (
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/access"
)

// The repositories that dispatches come from: ours, and one of somebody whom no rule
// is for, though the App is installed there and GitHub signs what it sends.
const (
	ourRepository    = 17
	othersRepository = 99
)

// list is who may do what.
var list = must(access.New(accessConfig()))

// accessConfig allows our repository to order everything, and a push of an image reach
// prod for one app only. A poll may order everything: where it does is not for a rule to say.
func accessConfig() access.Config {
	order := []gitops.Right{gitops.RightOrder}
	c := access.Config{
		Sources: []string{"github", "eventbridge"}, Environments: environments, Apps: make(map[string][]string), Polled: map[string][]string{polled: {firstHost, secondHost}},
		Rules: []access.Rule{
			{Who: access.Who{Dispatch: &access.Dispatch{Repository: "shop/app", RepositoryID: ourRepository}}, May: order, Apps: []string{"*"}, Environments: []string{"*"}},
			{Who: access.Who{Push: &access.Push{Source: "eventbridge", Accounts: []string{"123456789012"}}}, May: order, Apps: []string{"*"}, Environments: []string{"dev", "staging"}},
			{Who: access.Who{Push: &access.Push{Source: "eventbridge"}}, May: order, Apps: []string{"api"}, Environments: []string{"prod"}},
			{Who: access.Who{Poll: &access.Poll{Registries: []string{firstHost, secondHost}}}, May: order, Apps: []string{"*"}, Environments: []string{"*"}},
		},
	}
	for _, app := range append([]string{ghost}, filed...) {
		c.Apps[app] = nil
	}
	return c
}

// authorized holds an accepted update to what its sender may order, by a table that
// the service does not have. The checker's lock is held.
func (c *checker) authorized(d gitops.Delivery, u gitops.Update) {
	if isPersons(u) {
		return // the API asks, see its tests
	}
	if u.App == "web" && !evenTag(u.Tag) {
		c.wrong("update %s of web to %s was accepted, a tag that web does not take", u.ID, u.Tag)
	}
	want := ""
	switch {
	case d.Principal == "dispatch:17":
		want = "access[0]"
	case d.Principal == "push:eventbridge/123456789012" && u.Environment != "prod":
		want = "access[1]"
	case d.Principal == "push:eventbridge/123456789012" && u.App == "api":
		want = "access[2]"
	case d.Principal == "poll:"+hostOf(u.App):
		want = "access[3]"
	}
	switch {
	case want == "":
		c.wrong("update %s of %s in %s was accepted, which %s may not order", u.ID, u.App, u.Environment, d.Principal)
	case u.Rule != want:
		c.wrong("update %s was accepted by %q, not by the rule %s", u.ID, u.Rule, want)
	}
}

// evenTag reports whether the last digit of a build's number, or of a version's second, is
// even.
func evenTag(tag string) bool {
	tag = strings.TrimSuffix(tag, ".0")
	return strings.ContainsAny(tag[len(tag)-1:], "02468ace")
}
