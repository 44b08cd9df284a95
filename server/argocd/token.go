package argocd

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

const (
	maxToken   = 16 << 10            // bytes of the file
	warnBefore = 14 * 24 * time.Hour // the token's end
	warnEvery  = 24 * time.Hour
	tokenRetry = 10 * time.Second // until a file that holds no token may hold one
)

// token is what is known of the token that was used last.
type token struct {
	mu      sync.Mutex
	latest  string
	expires time.Time // zero: never, or it does not say
	warned  time.Time
}

// readToken reads the token's file. Its errors show nothing of what is in it.
func (c *Client) readToken() (string, *gitops.Error) {
	fails := func(what string, cause error) (string, *gitops.Error) {
		if cause == nil {
			cause = errors.New(c.config.TokenFile) // for the log: who asks for an update need not know
		}
		e := gitops.Errorf(gitops.Unauthorized, "argocd %s: tokenFile %s", c.instance, what).WithCause(cause)
		e.RetryAfter = tokenRetry
		return "", e
	}
	file, err := os.Open(c.config.TokenFile)
	if err != nil {
		return fails("cannot be read", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxToken+1))
	if err != nil {
		return fails("cannot be read", err)
	}
	value := strings.TrimSpace(string(text))
	switch {
	case len(text) > maxToken:
		return fails("is too large for a token: more than 16 KiB", nil)
	case value == "":
		return fails("is empty: write the token there", nil)
	case strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' }):
		return fails("holds more than a token: it must be one word", nil)
	}
	c.noteToken(value)
	return value, nil
}

// noteToken tells when a token expires: the metric once for each token, a warning once a
// day from 14 days before.
func (c *Client) noteToken(value string) {
	t, now := &c.token, c.config.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if value != t.latest {
		t.latest, t.warned = value, time.Time{}
		t.expires = expiryOf(value)
		c.config.Recorder.ArgoCDTokenExpires(c.instance, t.expires)
	}
	left := t.expires.Sub(now)
	if t.expires.IsZero() || left > warnBefore || now.Sub(t.warned) < warnEvery {
		return
	}
	t.warned = now
	c.config.Logger.Warn("Argo CD's token expires soon: make a new one and write it to its file", slog.String("instance", c.instance),
		slog.String("file", c.config.TokenFile), slog.Time("expires", t.expires), slog.String("in", max(left, 0).Round(time.Hour).String()))
}

// TokenExpires is when the token that was used last expires, zero when it does not say or
// none was used yet.
func (c *Client) TokenExpires() time.Time {
	c.token.mu.Lock()
	defer c.token.mu.Unlock()
	return c.token.expires
}

// expiryOf reads the end of a JSON Web Token (RFC 7519, section 4.1.4). It checks nothing:
// Argo CD does. It is zero where the token does not say.
func expiryOf(value string) time.Time {
	claims, err := claimsOf(value)
	if err != nil || claims.Expires <= 0 || claims.Expires > 1<<40 {
		return time.Time{}
	}
	return time.Unix(int64(claims.Expires), 0).UTC()
}

type claims struct {
	Expires float64 `json:"exp"` // seconds; it may have a fraction
}

func claimsOf(value string) (c claims, err error) {
	parts := strings.Split(value, ".")
	if len(parts) != 3 {
		return c, errors.New("it is no JSON Web Token")
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return c, errors.New("its claims are not base64")
	}
	return c, json.Unmarshal(text, &c)
}
