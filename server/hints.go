package server

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
)

// takeHint has those look who follow what an event hints at: the lanes of environments with
// pull requests, on whichever replica has them, and here the loops that look at branches for
// apps. It returns the environments. One that the store does not pass on is lost, as one that
// GitHub does not send: pull requests are looked at from time to time.
func (s *Server) takeHint(ctx context.Context, h gitops.Hint) (environments []string) {
	g := s.current()
	repositories := g.hinted(h)
	if h.Pushed {
		s.finder.askOf(repositories)
	}
	if environments = g.environmentsOf(h, repositories); len(environments) == 0 {
		return nil
	}
	if err := s.store.Nudge(ctx, environments); err != nil {
		s.logger.Warn("hint not passed on to the lanes", slog.Any("environments", environments), slog.String("error", err.Error()))
		return nil
	}
	return environments
}

// awaitQuiet has the lanes judge at once what a stop holds, and waits until nothing of it is
// under way: what GitHub was to merge by itself is taken back by then. A hint that the store
// does not pass on costs the seconds until the lanes judge again.
func (s *Server) awaitQuiet(ctx context.Context, h gitops.Hold) (underWay []string, quietSince time.Time) {
	var environments []string
	for _, p := range s.current().proposing() {
		if (len(h.Environments) == 0 || slices.Contains(h.Environments, p.environment)) && !slices.Contains(environments, p.environment) {
			environments = append(environments, p.environment)
		}
	}
	if len(environments) > 0 {
		if err := s.store.Nudge(ctx, environments); err != nil {
			s.logger.Warn("stop not passed on to the lanes", slog.String("hold", h.ID), slog.String("error", err.Error()))
		}
	}
	return s.holds.AwaitQuiet(ctx, h)
}

// hinted are the names of the manifest repositories, written as a GitHub App, that a hint
// is about. GitHub does not tell capitals apart.
func (g *generation) hinted(h gitops.Hint) (names []string) {
	for _, r := range g.sorted() {
		if r.app == nil || h.Branch != "" && h.Branch != r.settings.Branch {
			continue
		}
		owner, name := r.app.Repository()
		if strings.EqualFold(h.Repository, owner+"/"+name) || h.Repository == "" && strings.EqualFold(h.Owner, owner) {
			names = append(names, r.name)
		}
	}
	return names
}

// environmentsOf are the environments whose pull requests a hint about the manifest
// repositories is about: that of the topic branch, also where its updates are pushed by now,
// or those with pull requests there.
func (g *generation) environmentsOf(h gitops.Hint, repositories []string) (environments []string) {
	if h.Topic != "" {
		environment, ours := environmentOfTopic(h.Topic)
		if _, configured := g.config.Environments[environment]; !ours || !configured || len(repositories) == 0 {
			return nil
		}
		return []string{environment}
	}
	for _, p := range g.proposing() {
		if slices.Contains(repositories, p.manifests) && !slices.Contains(environments, p.environment) {
			environments = append(environments, p.environment)
		}
	}
	return environments
}

// environmentOfTopic is the environment that a branch tallyman/ENVIRONMENT/APP is of.
func environmentOfTopic(branch string) (environment string, ok bool) {
	rest, ours := strings.CutPrefix(branch, proposals.Prefix)
	environment, _, slash := strings.Cut(rest, "/")
	return environment, ours && slash
}
