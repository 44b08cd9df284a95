package api

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// Token is a bearer token that a file holds.
type Token struct {
	Name    string    // for people, and the principal: "token:NAME"
	File    string    // read for each request, so that a new token counts at once
	Expires time.Time // when it stops being valid; zero is never
}

// Tokens is the [Authenticator] of tokens in files. Safe for concurrent use.
type Tokens struct {
	Tokens []Token
	Used   func(Token, time.Time) // called for each request that a token is good for
	Logger *slog.Logger
	Now    func() time.Time

	mu   sync.Mutex
	told map[string]time.Time // when the log last said that a file cannot be read
}

// toldEvery is how often the log says that a token's file cannot be read: anybody can
// have the files read.
const toldEvery = time.Minute

// Authenticate finds the token, in a time that depends on neither its bytes nor
// which of them it is. A file that cannot be read or is empty is no token. While two
// files of a name hold the same token, as while one is replaced, the one that lasts
// longer counts. One that two names have is nobody's: who asks cannot be known.
func (t *Tokens) Authenticate(ctx context.Context, bearer string) (Caller, error) {
	found, other := -1, -1
	for i, token := range t.Tokens {
		secret, err := ReadToken(token.File)
		if err != nil {
			t.tell(ctx, token, err)
			continue
		}
		switch {
		case !webhook.MatchesAny([]byte(bearer), [][]byte{secret}):
		case found >= 0 && t.Tokens[found].Name != token.Name:
			other = i
		case found < 0 || t.Tokens[found].endsBefore(token):
			found = i
		}
	}
	if other >= 0 {
		names := t.Tokens[found].Name + " and " + t.Tokens[other].Name
		return Caller{Credential: "tokens " + names}, gitops.Errorf(gitops.Unauthorized, "the tokens %s are the same one, so it cannot be known who asks: replace one of the two", names)
	}
	if found < 0 {
		return Caller{}, gitops.Errorf(gitops.Unauthorized, "invalid token: no configured token matches")
	}
	token, now := t.Tokens[found], t.Now()
	c := Caller{Principal: gitops.Principal{Token: token.Name}, Credential: "token " + token.Name}
	if !token.Expires.IsZero() && !now.Before(token.Expires) {
		return c, gitops.Errorf(gitops.Unauthorized, "token %s has expired: it was valid until %s; replace it and set api.tokens[].expires", token.Name, token.Expires.Format(time.RFC3339))
	}
	t.Used(token, now)
	return c, nil
}

// tell logs that a token's file cannot be read.
func (t *Tokens) tell(ctx context.Context, token Token, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if last, now := t.told[token.File], t.Now(); last.IsZero() || now.Sub(last) >= toldEvery {
		if t.told == nil {
			t.told = make(map[string]time.Time)
		}
		t.told[token.File] = now
		t.Logger.WarnContext(ctx, "API token cannot be read", slog.String("credential", "token "+token.Name), slog.String("error", err.Error()))
	}
}

func (t Token) endsBefore(other Token) bool {
	return !t.Expires.IsZero() && (other.Expires.IsZero() || t.Expires.Before(other.Expires))
}

// ReadToken reads a token's file. White space around the token does not count.
func ReadToken(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, gitops.Errorf(gitops.Unavailable, "%s cannot be read", file).WithCause(err)
	}
	text = bytes.TrimSpace(text)
	switch {
	case len(text) < minToken:
		return nil, gitops.Errorf(gitops.Invalid, "%s holds fewer than %d characters: make one with openssl rand -hex 32", file, minToken)
	case bytes.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		return nil, gitops.Errorf(gitops.Invalid, "%s must hold one token of printable ASCII", file)
	}
	return text, nil
}

// minToken keeps out what can be guessed over the network.
const minToken = 20
