package ecr

import (
	"context"
	"encoding/base64"
	"strings"
	"sync"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/tallyman-dev/tallyman/gitops"
)

const (
	// renewAgain is how old a password is before it is replaced because a registry did not accept it.
	// What it says of a newer one is said of the principal, as a lack of permission is.
	renewAgain = time.Minute
	// tryAgain is how long after a failed renewal another is tried while the password is good.
	tryAgain = time.Minute
)

// token is the password of a region: it is good for every registry there that the principal may use.
type token struct {
	mu      sync.Mutex // guards what follows
	current *password
	tried   time.Time // when a renewal last failed
	renewal *renewal  // one that is under way
	failing bool      // the last one failed
}

// password has the time of its use: ECR's are good for 12 h.
type password struct {
	user, secret string
	from, until  time.Time
}

// isGood: it can still be used.
func (p *password) isGood(now time.Time) bool { return p != nil && now.Before(p.until) }

// isDue: in the last 24th of its time it is replaced, half an hour before its end.
func (p *password) isDue(now time.Time) bool {
	return p.until.Sub(now) <= p.until.Sub(p.from)/24
}

// renewal is one call that all who need its result wait for.
type renewal struct {
	done     chan struct{} // closed when what follows is set
	password *password
	err      error
}

// Credentials gives the user and the password for a registry's own protocol. They are kept until
// shortly before they end, and fetched once for all who ask meanwhile. With renew the registry has
// not accepted them: they are fetched again, but for those that are younger than a minute.
func (c *Client) Credentials(ctx context.Context, host string, renew bool) (user, secret string, err error) {
	r, err := c.open(ctx, host)
	if err != nil {
		return "", "", err
	}
	p, err := c.password(ctx, r, renew)
	if err != nil {
		return "", "", err
	}
	return p.user, p.secret, nil
}

func (c *Client) password(ctx context.Context, r at, renew bool) (*password, error) {
	t := &r.token
	t.mu.Lock()
	now, kept := c.config.Now(), t.current
	mayWait := !kept.isGood(now) || renew && now.Sub(kept.from) >= renewAgain
	due := mayWait || kept.isDue(now) && now.Sub(t.tried) >= tryAgain
	if due && t.renewal == nil {
		t.renewal = &renewal{done: make(chan struct{})}
		// Its end is not that of the caller that came first: others wait for it, too.
		go c.renew(context.WithoutCancel(ctx), r, t.renewal)
	}
	under := t.renewal
	t.mu.Unlock()

	if !mayWait {
		return kept, nil
	}
	select {
	case <-under.done:
		return under.password, under.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (c *Client) renew(ctx context.Context, r at, under *renewal) {
	under.password, under.err = c.fetch(ctx, r)
	t := &r.token
	t.mu.Lock()
	if under.err == nil {
		t.current = under.password
	} else {
		t.tried = c.config.Now()
	}
	begins := under.err != nil && !t.failing
	t.renewal, t.failing = nil, under.err != nil
	t.mu.Unlock()
	if begins { // it is tried again and again while AWS does not give one
		c.config.Logger.Warn("ECR password not renewed", "host", r.host, "error", under.err)
	}
	close(under.done)
}

func (c *Client) fetch(ctx context.Context, r at) (*password, error) {
	from := c.config.Now()
	var out *sdk.GetAuthorizationTokenOutput
	err := c.call(ctx, r, getAuthorizationToken, "", func(ctx context.Context) (err error) {
		out, err = r.api.GetAuthorizationToken(ctx, &sdk.GetAuthorizationTokenInput{})
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(out.AuthorizationData) > 0 {
		data := out.AuthorizationData[0]
		pair, err := base64.StdEncoding.DecodeString(awssdk.ToString(data.AuthorizationToken))
		user, secret, ok := strings.Cut(string(pair), ":")
		if err == nil && ok && user != "" && secret != "" && data.ExpiresAt != nil {
			return &password{user, secret, from, *data.ExpiresAt}, nil
		}
	}
	return nil, gitops.Errorf(gitops.Unavailable, "ECR's API in %s answered GetAuthorizationToken without a password", r.Region)
}
