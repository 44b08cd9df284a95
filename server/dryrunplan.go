package server

import (
	"cmp"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/policy"
	"github.com/tallyman-dev/tallyman/server/catalog"
)

// plan plans an image as an order or as a push, names the files that would change, and
// returns the updates that it would become.
func (s *Server) plan(q Image) (d DryRun, updates map[catalog.At]gitops.Update, err error) {
	d = DryRun{Tag: q.Tag, Repository: q.Repository}
	updates = make(map[catalog.At]gitops.Update)
	if q.Repository == "" {
		d.Targets, err = s.planOrders(q, updates)
	} else {
		d.Targets, d.Reason, err = s.planPush(q, updates)
	}
	for i, e := range d.Targets {
		if e.Taken {
			to, _ := s.current().known().Target(e.Environment, e.App)
			d.Targets[i].Files = filesOf(to)
		}
	}
	return d, updates, err
}

// filesOf are the files of a target with their keys, with the app's name and image.
func filesOf(to *catalog.Target) (files []FileEffect) {
	for _, f := range to.Files {
		var keys []string
		for _, set := range f.Sets {
			key := set.Key
			if set.Inside != "" {
				key = set.Inside + " | " + key
			}
			keys = append(keys, key)
		}
		files = append(files, FileEffect{File: f.Path, Keys: keys})
	}
	return files
}

// asked lists the targets of apps that the question is about: where they run, and
// where the app does not run if both are named.
func (s *Server) asked(q Image, apps []string) (targets []catalog.At) {
	if len(q.Apps) > 0 {
		apps = q.Apps
	}
	for _, environment := range s.environments() {
		if len(q.Environments) > 0 && !slices.Contains(q.Environments, environment) {
			continue
		}
		for _, app := range apps {
			at := catalog.At{Environment: environment, App: app}
			if _, runs := s.current().known().Target(environment, app); runs || len(q.Apps) > 0 {
				targets = append(targets, at)
			}
		}
	}
	return targets
}

// planOrders plans an order for each target.
func (s *Server) planOrders(q Image, updates map[catalog.At]gitops.Update) (effects []Effect, err error) {
	for _, at := range s.asked(q, s.current().known().Apps()) {
		plan, err := s.current().known().policy.Plan(gitops.Event{Orders: []gitops.Order{{App: at.App, Environment: at.Environment, Tag: q.Tag, Digest: q.Digest}}})
		if err != nil && gitops.CodeOf(err) != gitops.Rejected {
			return nil, err
		}
		for _, u := range plan.Updates {
			updates[at] = u
		}
		e := Effect{Environment: at.Environment, App: at.App, Taken: len(plan.Updates) > 0, Reason: strings.TrimPrefix(plan.Reason, at.Environment+": ")}
		if e.Taken && !s.current().access.OrderedByName(at.App, at.Environment) {
			e.Taken, e.Reason = false, "no rule of access allows anybody to order it there by name"
		}
		effects = append(effects, e)
	}
	return effects, nil
}

// planPush plans the push of an image, and says why it means nothing at all.
func (s *Server) planPush(q Image, updates map[catalog.At]gitops.Update) (effects []Effect, reason string, err error) {
	image, ok := policy.ParseECR(q.Repository)
	if !ok || strings.ContainsAny(image.Name, ":@") {
		return nil, "", gitops.FieldErrorf("repository", "must be an image in ECR without tag, such as 123456789012.dkr.ecr.eu-west-1.amazonaws.com/api: "+
			"only pushes to ECR are events. Leave it out to plan an order")
	}
	if sources := s.current().config.Sources; sources.EventBridge == nil && sources.SNS == nil {
		return nil, "no source of push events is configured: sources.eventbridge or sources.sns", nil
	}
	push := gitops.ImagePush{Account: image.Account, Region: image.Region, Repository: image.Name, Tag: q.Tag, Digest: q.digest()}
	plan, err := s.current().known().policy.Plan(gitops.Event{Push: &push})
	if err != nil {
		return nil, "", err
	}
	for _, u := range plan.Updates {
		updates[catalog.At{Environment: u.Environment, App: u.App}] = u
	}
	for _, at := range s.asked(q, s.current().known().policy.AppsOf(image)) {
		e := Effect{Environment: at.Environment, App: at.App}
		if _, e.Taken = updates[at]; !e.Taken {
			e.Reason = cmp.Or(s.current().known().policy.WhyNot(push, at.Environment, at.App), plan.Reason)
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
