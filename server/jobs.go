package server

import (
	"context"
	"errors"
	"log/slog"
	"strconv"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
	"github.com/tallyman-dev/tallyman/server/config"
	"github.com/tallyman-dev/tallyman/server/oidc"
)

// buildJobs makes what authenticates jobs of GitHub Actions; nil where that is not
// configured. It does not use the network.
func buildJobs(c *config.OIDC, logger *slog.Logger) (*oidc.Verifier, error) {
	if c == nil {
		return nil, nil
	}
	roots, rootsErr := readRoots("api.oidc.caFile", c.CAFile)
	rules := make([]oidc.Rule, len(c.Rules))
	for i, r := range c.Rules {
		rules[i] = oidc.Rule{
			Issuer: r.Issuer, Repository: r.Repository, RepositoryID: strconv.FormatInt(r.RepositoryID, 10), OwnerID: strconv.FormatInt(r.OwnerID, 10),
			Refs: r.Refs, Environment: r.GitHubEnvironment, Workflows: r.Workflows, Events: r.Events, Apps: r.Apps, Environments: r.Environments,
		}
	}
	verifier, err := oidc.New(oidc.Config{
		Audience: c.Audience, Issuers: c.Issuers, Rules: rules, MaxAge: c.MaxAge, RootCAs: roots, Logger: logger, Now: now,
	})
	return verifier, errors.Join(rootsErr, gitops.PrefixField("api.oidc", err))
}

// jobs is the [api.Authenticator] of jobs of GitHub Actions: they order, once
// with each token, and nothing else.
type jobs struct {
	verifier *oidc.Verifier
	used     oidc.ReplayGuard
}

// Authenticate implements [api.Authenticator].
func (j jobs) Authenticate(ctx context.Context, bearer string) (api.Caller, error) {
	job, err := j.verifier.Authenticate(ctx, bearer)
	if err != nil {
		return api.Caller{}, err
	}
	return api.Caller{
		Actor: job.Actor(), Credential: job.Credential(), Can: []api.Right{api.Order}, Scope: job.MayOrder,
		UseOnce: func(ctx context.Context, order gitops.DeliveryKey) error { return job.UseOnce(ctx, j.used, order) },
	}, nil
}
