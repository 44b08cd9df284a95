package server

import (
	"context"
	"errors"
	"log/slog"

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
	verifier, err := oidc.New(oidc.Config{
		Audience: c.Audience, Issuers: c.Issuers, MaxAge: c.MaxAge, RootCAs: roots, Logger: logger, Now: now,
	})
	return verifier, errors.Join(rootsErr, gitops.PrefixField("api.oidc", err))
}

// jobs is the [api.Authenticator] of jobs of GitHub Actions. Each token counts for
// one order.
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
		Principal: job.Principal(), Credential: job.Credential(),
		UseOnce: func(ctx context.Context, order gitops.DeliveryKey) error { return job.UseOnce(ctx, j.used, order) },
	}, nil
}

// Prepare implements [api.Preparer].
func (j jobs) Prepare(ctx context.Context, bearer string) error {
	return j.verifier.Prepare(ctx, bearer)
}
