package registry

import (
	"context"
	"errors"
	"sync"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"
)

// tokens are a host's. The auth client asks for one before each request, and has one fetched
// after a 401.
type tokens interface {
	auth.Cache
	// reject removes a token that the registry rejected without a 401.
	reject(token string)
}

// errNoToken is what an auth.Cache says of a token that it does not have.
var errNoToken = errors.New("there is no token")

// bearerTokens are those that a registry's token server gave, by scope, and what is sent for
// Basic authentication. Each is kept until the registry rejects it.
type bearerTokens struct {
	host *host

	mu      sync.Mutex
	scheme  auth.Scheme
	entries map[string]*entry // by scheme and scope
}

// entry is one token, or the fetch of it.
type entry struct {
	token  string
	flight *flight // nil when none is under way
}

// flight is a fetch that several wait for. What it has is set before done is closed.
type flight struct {
	entry   *entry
	done    chan struct{}
	token   string
	err     error
	givenUp bool // its caller ended: the error is not the token server's
}

func (t *bearerTokens) GetScheme(context.Context, string) (auth.Scheme, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.scheme == auth.SchemeUnknown {
		return auth.SchemeUnknown, errNoToken
	}
	return t.scheme, nil
}

func (t *bearerTokens) GetToken(ctx context.Context, _ string, scheme auth.Scheme, scope string) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entries[scheme.String()+" "+scope]
	if e == nil || e.token == "" {
		return "", errNoToken
	}
	exchangeOf(ctx).sends(e.token, true)
	return e.token, nil
}

// Set fetches a token once for all callers that need it. A caller that was rejected with a token
// that has been replaced since is given the new one.
func (t *bearerTokens) Set(ctx context.Context, _ string, scheme auth.Scheme, scope string, fetch func(context.Context) (string, error)) (string, error) {
	x := exchangeOf(ctx)
	rejected, _ := x.sent()
	for {
		token, f, first := t.join(scheme, scope, rejected)
		switch {
		case token != "":
			x.sends(token, false)
			return token, nil
		case first:
			t.fetch(ctx, f, fetch)
		default:
			select {
			case <-f.done:
			case <-ctx.Done():
				return "", ctx.Err()
			}
		}
		if first || !f.givenUp {
			x.sends(f.token, false)
			return f.token, f.err
		}
	}
}

// join returns the token, unless it is the rejected one, or the fetch of a new one. The first
// caller does the fetch.
func (t *bearerTokens) join(scheme auth.Scheme, scope, rejected string) (token string, f *flight, first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.scheme = scheme
	key := scheme.String() + " " + scope
	e := t.entries[key]
	if e == nil {
		e = new(entry)
		t.entries[key] = e
	}
	if e.token != "" && e.token != rejected {
		return e.token, nil, false
	}
	if e.flight == nil {
		e.token, e.flight = "", &flight{entry: e, done: make(chan struct{})}
		return "", e.flight, true
	}
	return "", e.flight, false
}

func (t *bearerTokens) fetch(ctx context.Context, f *flight, fetch func(context.Context) (string, error)) {
	asking, x := withExchange(ctx, opToken)
	token, err := fetch(asking)
	if err != nil {
		token, err = "", t.host.tokenProblem(ctx, x, err)
	}
	f.token, f.err, f.givenUp = token, err, ctx.Err() != nil
	t.mu.Lock()
	f.entry.token, f.entry.flight = token, nil
	t.mu.Unlock()
	close(f.done)
}

func (t *bearerTokens) reject(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.entries {
		if e.token == token {
			e.token = ""
		}
	}
}

// freshTokens are tokens that were fetched after a 403 or a 400, and were answered the same: they
// had not expired, so the answer was about something else. Without them each look at a
// repository that may not be read would cost a new token.
type freshTokens struct {
	now func() time.Time

	mu sync.Mutex
	at map[string]time.Time // by token
}

// freshFor is shorter than any token's time.
const freshFor = 5 * time.Minute

func (f *freshTokens) add(token string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	for token, at := range f.at {
		if now.Sub(at) >= freshFor {
			delete(f.at, token)
		}
	}
	if f.at == nil {
		f.at = make(map[string]time.Time)
	}
	f.at[token] = now
}

func (f *freshTokens) has(token string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, ok := f.at[token]
	return ok && f.now().Sub(at) < freshFor
}
