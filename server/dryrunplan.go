package server

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/policy"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// plan plans an image as an order or as a push, names the files that would change, and
// returns the updates that it would become.
func (s *Server) plan(q Image) (d DryRun, updates map[target]gitops.Update, err error) {
	d = DryRun{Tag: q.Tag, Repository: q.Repository}
	updates = make(map[target]gitops.Update)
	if q.Repository == "" {
		d.Targets, err = s.planOrders(q, updates)
	} else {
		d.Targets, d.Reason, err = s.planPush(q, updates)
	}
	for i, e := range d.Targets {
		if e.Taken {
			d.Targets[i].File = s.current().targets[target{e.Environment, e.App}].file
			d.Targets[i].Keys = s.keysOf(e.Environment, e.App)
		}
	}
	return d, updates, err
}

// keysOf are the keys of a target as the configuration has them, with the app's name
// and image.
func (s *Server) keysOf(environment, app string) (keys []string) {
	to := s.current().config.Target(environment, app)
	for _, set := range values.Bind(to.Set.Targets(), app, to.Repository) {
		key := set.Key
		if set.Inside != "" {
			key = set.Inside + " | " + key
		}
		keys = append(keys, key)
	}
	return keys
}

// asked lists the targets of apps that the question is about: where they run, and
// where the app does not run if both are named.
func (s *Server) asked(q Image, apps []string) (targets []target) {
	if q.App != "" {
		apps = []string{q.App}
	}
	for _, environment := range s.environments() {
		if q.Environment != "" && q.Environment != environment {
			continue
		}
		for _, app := range apps {
			at := target{environment, app}
			if _, runs := s.current().targets[at]; runs || q.App != "" {
				targets = append(targets, at)
			}
		}
	}
	return targets
}

// planOrders plans an order for each target.
func (s *Server) planOrders(q Image, updates map[target]gitops.Update) (effects []Effect, err error) {
	for _, at := range s.asked(q, slices.Sorted(maps.Keys(s.current().config.Apps))) {
		plan, err := s.current().policy.Plan(gitops.Event{Orders: []gitops.Order{{App: at.app, Environment: at.environment, Tag: q.Tag, Digest: q.Digest}}})
		if err != nil && gitops.CodeOf(err) != gitops.Rejected {
			return nil, err
		}
		for _, u := range plan.Updates {
			updates[at] = u
		}
		e := Effect{Environment: at.environment, App: at.app, Taken: len(plan.Updates) > 0, Reason: strings.TrimPrefix(plan.Reason, at.environment+": ")}
		if e.Taken && !s.current().access.OrderedByName(at.app, at.environment) {
			e.Taken, e.Reason = false, "no rule of access allows anybody to order it there by name"
		}
		effects = append(effects, e)
	}
	return effects, nil
}

// planPush plans the push of an image, and says why it means nothing at all.
func (s *Server) planPush(q Image, updates map[target]gitops.Update) (effects []Effect, reason string, err error) {
	image, ok := policy.ParseECR(q.Repository)
	if !ok || strings.ContainsAny(image.Name, ":@") {
		return nil, "", gitops.FieldErrorf("repository", "must be an image in ECR without tag, such as 123456789012.dkr.ecr.eu-west-1.amazonaws.com/api: "+
			"only pushes to ECR are events. Leave it out to plan an order")
	}
	if sources := s.current().config.Sources; sources.EventBridge == nil && sources.SNS == nil {
		return nil, "no source of push events is configured: sources.eventbridge or sources.sns", nil
	}
	push := gitops.ImagePush{Account: image.Account, Region: image.Region, Repository: image.Name, Tag: q.Tag, Digest: q.digest()}
	plan, err := s.current().policy.Plan(gitops.Event{Push: &push})
	if err != nil {
		return nil, "", err
	}
	for _, u := range plan.Updates {
		updates[target{u.Environment, u.App}] = u
	}
	for _, at := range s.asked(q, s.current().policy.AppsOf(image)) {
		e := Effect{Environment: at.environment, App: at.app}
		if _, e.Taken = updates[at]; !e.Taken {
			e.Reason = cmp.Or(s.current().policy.WhyNot(push, at.environment, at.app), plan.Reason)
		} else if why := whyNotPushed(s.current().config.Sources, s.current().access, image, at); why != "" {
			e.Taken, e.Reason = false, why
		}
		effects = append(effects, e)
	}
	if len(effects) == 0 {
		reason = plan.Reason
	}
	return effects, reason, nil
}
