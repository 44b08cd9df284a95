package access

import (
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/tallyman-dev/tallyman/gitops"
)

// hostGrammar is a registry's host as image names begin with it.
var hostGrammar = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?$`)

func (n names) checkPoll(report report, w Poll) {
	if len(n.config.Polled) == 0 {
		report("who.poll", "no environment has image.poll, so no registry is polled: give one image.poll, or remove the rule")
	}
	if len(w.Registries) == 0 {
		report("who.poll.registries", "is missing: name the hosts, such as ghcr.io")
	}
	checkList(report, "who.poll.registries", w.Registries, "a registry's host as the names of its images begin with it, such as ghcr.io or registry.example.com:5000", hostGrammar.MatchString)
}

func pollConditions(w Poll) []condition {
	return among("registry", func(q request) string { return q.principal.Poll }, w.Registries)
}

// polls reports whether what a registry has may be ordered in an environment.
func (r *rule) polls(host, environment string) bool {
	return r.Who.Poll != nil && slices.Contains(r.Who.Poll.Registries, host) && (r.environments == nil || r.environments[environment])
}

// checkUnnamedPolls refuses polls that could order nothing.
func (l *List) checkUnnamedPolls() (problems []error) {
	for _, environment := range slices.Sorted(maps.Keys(l.config.Polled)) {
		for _, host := range slices.Sorted(slices.Values(l.config.Polled[environment])) {
			if why := l.WhyNoPoll(host, environment); why != "" {
				problems = append(problems, gitops.FieldErrorf("environments."+environment+".image.poll", "%s", why))
			}
		}
	}
	return problems
}

// WhyNoPoll says why a poll of a registry can order nothing in an environment; "" where a rule
// names it.
func (l *List) WhyNoPoll(host, environment string) string {
	if slices.ContainsFunc(l.rules, func(r *rule) bool { return r.polls(host, environment) }) {
		return ""
	}
	return fmt.Sprintf("no rule of access allows to order in %s what is found in %s: add one to access with who: {poll: {registries: [%[2]s]}}, or remove it here", environment, host)
}

// warnUnpolled tells of a registry of which nothing is polled.
func (l *List) warnUnpolled(r *rule, warn warn) {
	if r.Who.Poll == nil || l.config.MayKnow != nil { // an app whose image is there may come to be known
		return
	}
	for i, host := range r.Who.Poll.Registries {
		polled := false
		for environment, hosts := range l.config.Polled {
			polled = polled || (r.environments == nil || r.environments[environment]) && slices.Contains(hosts, host)
		}
		if !polled {
			warn(fmt.Sprintf("%s.who.poll.registries[%d]", r.name, i), "is not polled: no app has an image in %s in an environment of this rule with image.poll", host)
		}
	}
}
