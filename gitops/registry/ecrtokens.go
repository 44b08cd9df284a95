package registry

import (
	"context"
	"encoding/base64"
	"sync/atomic"

	"oras.land/oras-go/v2/registry/remote/auth"
)

// ecrTokens has what is sent to a host of ECR: Basic authentication by what AWS gives, which
// keeps it and renews it early.
type ecrTokens struct {
	host *host
	ecr  ECR
	turn chan struct{} // has room for whoever asks AWS

	rejected atomic.Value // string: what the registry did not take
}

func (t *ecrTokens) GetScheme(context.Context, string) (auth.Scheme, error) {
	return auth.SchemeBasic, nil
}

// GetToken's error has the request sent without it: Set's is told.
func (t *ecrTokens) GetToken(ctx context.Context, _ string, _ auth.Scheme, _ string) (string, error) {
	token, err := t.current(ctx)
	if err == nil {
		exchangeOf(ctx).sends(token, true)
	}
	return token, err
}

func (t *ecrTokens) Set(ctx context.Context, _ string, _ auth.Scheme, _ string, _ func(context.Context) (string, error)) (string, error) {
	x := exchangeOf(ctx)
	if rejected, _ := x.sent(); rejected != "" {
		t.reject(rejected)
	}
	token, err := t.current(ctx)
	if err != nil {
		return "", t.host.tokenProblem(ctx, x, err)
	}
	x.sends(token, false)
	return token, nil
}

// current asks for the credentials, and for others where these were rejected. One at a time:
// those that were rejected together need them renewed once.
func (t *ecrTokens) current(ctx context.Context) (string, error) {
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	token, err := t.ask(ctx, false)
	if err == nil && token == t.rejected.Load() {
		if token, err = t.ask(ctx, true); err == nil {
			t.rejected.Store("") // AWS may give the same again
		}
	}
	return token, err
}

func (t *ecrTokens) ask(ctx context.Context, renew bool) (string, error) {
	user, password, err := t.ecr.Credentials(ctx, t.host.name, renew)
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password)), err
}

func (t *ecrTokens) reject(token string) { t.rejected.Store(token) }
