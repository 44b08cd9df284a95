package server

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/policy"
	"github.com/tallyman-dev/tallyman/server/config"
)

// checkReach finds apps that no update can ever reach: their events would be ignored
// for ever, and nothing would be red. What is only out of reach of events, where
// orders also come, is a warning.
func checkReach(c config.Config) (warnings []*gitops.Error, err error) {
	if c.Sources.EventBridge == nil && c.Sources.SNS == nil {
		return nil, nil
	}
	orders := takesOrders(c)
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(c.Apps)) {
		repository, field := c.Apps[name].Repository, "apps."+name+".repository"
		_, isECR := policy.ParseECR(repository)
		switch why := outOfReach(c.Sources, repository); {
		case why == "":
		case !orders:
			problems = append(problems, gitops.FieldErrorf(field, "%s, and events of Amazon ECR are all that updates it", why))
		case isECR:
			warnings = append(warnings, gitops.FieldErrorf(field, "%s: pushes to it change nothing, only orders do", why))
		}
	}
	return warnings, errors.Join(problems...)
}

// takesOrders reports whether anybody can name an app, rather than an event its image.
func takesOrders(c config.Config) bool {
	return c.Sources.GitHub != nil || c.API.OIDC != nil ||
		slices.ContainsFunc(c.API.Tokens, func(t config.Token) bool { return slices.Contains(t.Can, "order") })
}

// outOfReach says why no event of a push to the repository counts; "" when one does.
func outOfReach(s config.Sources, repository string) string {
	if repository == "" {
		return "is missing"
	}
	ecr, ok := policy.ParseECR(repository)
	if !ok {
		return fmt.Sprintf("%s is not a repository of Amazon ECR", repository)
	}
	var reasons []string
	outside := func(field string, accounts, regions []string) {
		switch {
		case len(accounts) > 0 && !slices.Contains(accounts, ecr.Account):
			reasons = append(reasons, fmt.Sprintf("its account %s is not one of %s.accounts", ecr.Account, field))
		case len(regions) > 0 && !slices.Contains(regions, ecr.Region):
			reasons = append(reasons, fmt.Sprintf("its region %s is not one of %s.regions", ecr.Region, field))
		}
	}
	sources := 0
	if s.EventBridge != nil {
		sources++
		outside("sources.eventbridge", s.EventBridge.Accounts, s.EventBridge.Regions)
	}
	if s.SNS != nil {
		sources++
		outside("sources.sns", s.SNS.Accounts, s.SNS.Regions)
	}
	if len(reasons) < sources {
		return ""
	}
	return strings.Join(reasons, ", and ")
}

// checkNamed wants a repository for every app whose updates write its name.
func checkNamed(c config.Config) error {
	missing := make(map[string]error) // by app: one is enough
	for _, w := range wanted(c) {
		if c.Apps[w.app].Repository != "" || missing[w.app] != nil {
			continue
		}
		for i, set := range w.Set {
			if strings.Contains(set.Value, "{repository}") {
				missing[w.app] = gitops.FieldErrorf("apps."+w.app+".repository",
					"is missing, and %s[%d] writes {repository} in %s: name the app's image, or give the app a set without it", w.Field, i, w.environment)
				break
			}
		}
	}
	var problems []error
	for _, app := range slices.Sorted(maps.Keys(missing)) {
		problems = append(problems, missing[app])
	}
	return errors.Join(problems...)
}
