package registry

import (
	"context"
	"encoding/base64"
	"sync/atomic"

	"oras.land/oras-go/v2/registry/remote/auth"
)

// ecrTokens are what is sent to a host of ECR: user and password from AWS, as Basic
// authentication. What is below [ECR] keeps them and renews them early.
type ecrTokens struct {
	host *host
	ecr  ECR
	turn chan struct{} // holds a value while AWS is asked

	rejected atomic.Value // string: what the registry rejected last
}

func (t *ecrTokens) GetScheme(context.Context, string) (auth.Scheme, error) {
	return auth.SchemeBasic, nil
}

// GetToken's error is not reported: the request is sent without a token, and then Set's is.
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

// current asks for the credentials, and has them renewed where the registry rejected them. One
// caller at a time: fifty requests that were rejected together need one renewal.
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
