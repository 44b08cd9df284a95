package server

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"sync/atomic"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
	"github.com/tallyman-dev/tallyman/server/config"
	"github.com/tallyman-dev/tallyman/server/oidc"
)

// jobVerifier is shared by the generations whose configuration of it is the same: it has
// the issuers' keys, and who is asked for them again may not answer now.
type jobVerifier struct {
	*oidc.Verifier
	roots *x509.CertPool // that it trusts; nil for the system's
	users atomic.Int64   // generations that are in force, or have requests
}

// share has one more generation use the verifier. One that uses it holds it meanwhile.
func (v *jobVerifier) share() *jobVerifier {
	v.users.Add(1)
	return v
}

// release ends a generation's use, and with the last one the verifier; nil has none.
func (v *jobVerifier) release() error {
	if v == nil || v.users.Add(-1) > 0 {
		return nil
	}
	return v.Close()
}

// buildJobs makes what authenticates jobs of GitHub Actions; nil where that is not
// configured. It does not use the network.
func buildJobs(c *config.OIDC, logger *slog.Logger) (*jobVerifier, error) {
	if c == nil {
		return nil, nil
	}
	roots, rootsErr := readRoots("api.oidc.caFile", c.CAFile)
	verifier, err := oidc.New(oidc.Config{
		Audience: c.Audience, Issuers: c.Issuers, MaxAge: c.MaxAge, RootCAs: roots, Logger: logger, Now: now,
	})
	if verifier == nil {
		return nil, errors.Join(rootsErr, gitops.PrefixField("api.oidc", err))
	}
	return (&jobVerifier{Verifier: verifier, roots: roots}).share(), rootsErr
}

// jobs is the [api.Authenticator] of jobs of GitHub Actions. Each token counts for
// one order.
type jobs struct {
	verifier *jobVerifier
	used     oidc.ReplayGuard
}

// Authenticate implements [api.Authenticator].
func (j jobs) Authenticate(ctx context.Context, bearer string) (api.Caller, error) {
	job, err := j.verifier.Authenticate(ctx, bearer)
	if err != nil {
		return api.Caller{}, err
	}
	return api.Caller{
		Principal: job.Principal(), Credential: job.Credential(), Revision: job.Revision(),
		UseOnce: func(ctx context.Context, order gitops.DeliveryKey) error { return job.UseOnce(ctx, j.used, order) },
	}, nil
}

// Prepare implements [api.Preparer].
func (j jobs) Prepare(ctx context.Context, bearer string) error {
	return j.verifier.Prepare(ctx, bearer)
}
