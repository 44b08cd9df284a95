package server

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/access"
	"github.com/tallyman-dev/tallyman/gitops/policy"
	"github.com/tallyman-dev/tallyman/server/catalog"
	"github.com/tallyman-dev/tallyman/server/config"
)

// checkReach finds apps that no update can ever reach: their events would be ignored
// for ever, and nothing would be red. What is only out of reach of events, where
// orders also come, is a warning.
func checkReach(c config.Config, list *access.List, targets []*catalog.Target) (warnings []*gitops.Error, err error) {
	if c.Sources.EventBridge == nil && c.Sources.SNS == nil {
		return nil, nil
	}
	var problems []error
	byField := make(map[string][]*catalog.Target) // environments share a repository
	for _, w := range targets {
		if w.Origin != "" {
			continue // what is wrong with it is no error of the configuration
		}
		field := catalog.RepositoryField(c, w.At)
		byField[field] = append(byField[field], w)
	}
	for _, field := range slices.Sorted(maps.Keys(byField)) {
		targets := byField[field]
		_, isECR := policy.ParseECR(targets[0].Image)
		orders := slices.ContainsFunc(targets, func(w *catalog.Target) bool { return list.OrderedByName(w.App, w.Environment) })
		switch why := outOfReach(c.Sources, list, targets); {
		case why == "":
		case !orders:
			problems = append(problems, gitops.FieldErrorf(field, "%s, and events of Amazon ECR are all that updates it", why))
		case isECR:
			warnings = append(warnings, gitops.FieldErrorf(field, "pushes to it change nothing, only orders do: %s", why))
		}
	}
	return warnings, errors.Join(problems...)
}

// outOfReach says why no event of a push to the repository of these targets reaches
// any of them; "" when one does.
func outOfReach(s config.Sources, list *access.List, targets []*catalog.Target) string {
	repository := targets[0].Image
	if repository == "" {
		return "is missing"
	}
	image, ok := policy.ParseECR(repository)
	if !ok {
		return fmt.Sprintf("%s is not a repository of Amazon ECR", repository)
	}
	first := ""
	for _, w := range targets {
		if w.Origin != "" {
			continue // what is wrong with it is no error of the configuration
		}
		why := whyNotPushed(s, list, image, w.At)
		if why == "" {
			return ""
		}
		first = cmp.Or(first, why)
	}
	return first
}

// whyNotPushed says why no push of an image may order a target, by any of the sources;
// "" when one may.
func whyNotPushed(s config.Sources, list *access.List, image policy.ECR, at catalog.At) string {
	why := ""
	for _, by := range pushersOf(s, image) {
		_, err := list.Authorize(by, gitops.RightOrder, at.App, at.Environment)
		if err == nil {
			return ""
		}
		why = gitops.PublicOf(err)
	}
	return why
}

// pushersOf are those by whom the push of an image can come.
func pushersOf(s config.Sources, image policy.ECR) (pushers []gitops.Principal) {
	by := func(source, topic string) {
		pushers = append(pushers, gitops.Principal{Push: &gitops.PushSource{Source: source, Account: image.Account, Region: image.Region, Topic: topic}})
	}
	if s.EventBridge != nil {
		by("eventbridge", "")
	}
	if s.SNS != nil {
		for _, topic := range s.SNS.Topics {
			by("sns", topic)
		}
	}
	return pushers
}
