package argocd

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// timeout bounds a request, from its beginning to the end of the answer. A refresh that
// takes as long is not being compared.
const timeout = 10 * time.Second

// Most bytes of an answer: etcd holds no object of more than 1.5 MiB, a tree or a list has many.
const (
	maxObject = 4 << 20
	maxMany   = 64 << 20
	maxSaid   = 8 << 10 // of an answer that is an error
)

// request is one to the API.
type request struct {
	what    string // as errors say it: "Application shop/argocd/api"
	path    []string
	query   url.Values
	refresh bool
	// object: it is about objects of one Application, in a cluster that may be away though
	// Argo CD is well. Its 500 says nothing of the instance.
	object bool
	most   int64
}

// get sends a request in its turn, and has read take the answer's body. Its errors are
// [*gitops.Error].
func (c *Client) get(ctx context.Context, r request, read func(io.Reader) error) error {
	value, problem := c.readToken()
	if problem != nil {
		return problem
	}
	if r.refresh {
		select {
		case c.refreshes <- struct{}{}:
			defer func() { <-c.refreshes }()
		case <-ctx.Done():
			return c.stopped(r, ctx.Err())
		}
	}
	var p pass
	held := false
	err := c.pace.wait(ctx, func() error {
		given, fault := c.breaker.enter(value)
		if fault != nil {
			return fault
		}
		p, held = given, true
		return nil
	})
	if fault := (*gitops.Error)(nil); errors.As(err, &fault) {
		return fault
	}
	if err != nil {
		if held {
			c.breaker.stopped(p)
		}
		return c.stopped(r, err)
	}
	return c.send(ctx, r, value, p, read)
}

// send sends a request, counts it, and tells the breaker what it says of the instance.
func (c *Client) send(ctx context.Context, r request, value string, p pass, read func(io.Reader) error) error {
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	problem := c.exchange(bounded, r, value, read)
	switch {
	case problem == nil:
		c.breaker.answered(p)
		c.config.Recorder.ArgoCDRequest(c.instance, "ok")
		return nil
	case ctx.Err() != nil:
		c.breaker.stopped(p)
		return c.stopped(r, ctx.Err())
	case bounded.Err() != nil && r.refresh:
		// The instance may be well: it waits for its controller, which does not compare.
		c.breaker.stopped(p)
		problem = c.notCompared(r)
	case bounded.Err() != nil:
		fault := gitops.Errorf(gitops.Unavailable, "argocd %s does not answer within %s", c.instance, timeout).WithCause(problem.error.Err)
		problem.error = c.breaker.failed(p, fault, value)
	case problem.instance:
		problem.error = c.breaker.failed(p, problem.error, value)
	default:
		c.breaker.answered(p)
	}
	c.config.Recorder.ArgoCDRequest(c.instance, string(problem.error.Code))
	return problem.error
}

// exchange sends a request and reads its answer.
func (c *Client) exchange(ctx context.Context, r request, value string, read func(io.Reader) error) *problem {
	address := c.base.JoinPath(append([]string{"api", "v1"}, r.path...)...)
	address.RawQuery = r.query.Encode()
	sent, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return &problem{error: gitops.Errorf(gitops.Internal, "argocd %s: the request cannot be made (%s)", c.instance, r.what).WithCause(err)}
	}
	sent.Header.Set("Authorization", "Bearer "+value)
	sent.Header.Set("Accept", "application/json")
	sent.Header.Set("User-Agent", "tallyman")
	response, err := c.http.Do(sent)
	if err != nil {
		return c.unreachable(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return c.refusal(r, response, value)
	}
	body := http.MaxBytesReader(nil, response.Body, r.most)
	if err := read(body); err != nil {
		return c.unreadable(r, response, err)
	}
	_, _ = io.Copy(io.Discard, body) // so that the connection is kept; the answer is complete
	return nil
}

// into is a read that decodes one value.
func into(value any) func(io.Reader) error {
	return func(body io.Reader) error { return json.NewDecoder(body).Decode(value) }
}
