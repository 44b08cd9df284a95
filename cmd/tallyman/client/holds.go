package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
	"github.com/tallyman-dev/tallyman/server/verify"
)

// HeldError is a conflict with what holds updates: nothing was stored.
type HeldError struct {
	Err       *gitops.Error
	BlockedBy []gitops.Block
}

// Error is the server's sentence, which names each of them.
func (e *HeldError) Error() string { return e.Err.Error() }

func (e *HeldError) Unwrap() error { return e.Err }

// Holds lists holds, newest first. The filters are those of the API: environment, app,
// kind, ended.
func (c *Client) Holds(ctx context.Context, filter url.Values) (list api.HoldList, err error) {
	return list, c.get(ctx, "/api/v1/holds", filter, &list)
}

// Freezes says when freezes of the configuration hold updates. The filters are those of
// the API: environment, app, from, until.
func (c *Client) Freezes(ctx context.Context, filter url.Values) (f api.FreezeList, err error) {
	return f, c.get(ctx, "/api/v1/freezes", filter, &f)
}

// Why returns everything that keeps updates of an app from an environment.
func (c *Client) Why(ctx context.Context, environment, app string) (w api.Why, err error) {
	return w, c.get(ctx, "/api/v1/why", url.Values{"environment": {environment}, "app": {app}}, &w)
}

// Verify compares what registry, branch, Argo CD and cluster say of an app in an environment.
func (c *Client) Verify(ctx context.Context, environment, app string) (r verify.Report, err error) {
	return r, c.get(ctx, "/api/v1/verify", url.Values{"environment": {environment}, "app": {app}}, &r)
}

// PlaceHold places a hold. The same key again is the same hold, so a request that was
// not answered can be repeated; so is it with LiftHold and Rollback.
func (c *Client) PlaceHold(ctx context.Context, key string, h api.HoldRequest) (placed api.HoldAnswer, err error) {
	return placed, c.act(ctx, http.MethodPost, "/api/v1/holds", nil, key, h, &placed)
}

// LiftHold ends a hold before its time, for a reason that may be empty.
func (c *Client) LiftHold(ctx context.Context, key, id, reason string, dryRun bool) (lifted api.LiftAnswer, err error) {
	query := url.Values{}
	if reason != "" {
		query.Set("reason", reason)
	}
	if dryRun {
		query.Set("dryRun", "true")
	}
	return lifted, c.act(ctx, http.MethodDelete, "/api/v1/holds/"+url.PathEscape(id), query, key, nil, &lifted)
}

// Rollback goes back to an earlier tag of an app, and stays there for a while.
func (c *Client) Rollback(ctx context.Context, key string, r api.RollbackRequest) (done api.RollbackAnswer, err error) {
	return done, c.act(ctx, http.MethodPost, "/api/v1/rollbacks", nil, key, r, &done)
}

// ReportHealth says whether an update runs. The same report again changes nothing, so one
// that was not answered can be repeated.
func (c *Client) ReportHealth(ctx context.Context, h api.HealthRequest) (said api.HealthAnswer, err error) {
	return said, c.act(ctx, http.MethodPost, "/api/v1/health", nil, "", h, &said)
}

// act makes a request under a key, "" for none; without a body when it is nil.
func (c *Client) act(ctx context.Context, method, path string, query url.Values, key string, body, into any) error {
	header := http.Header{}
	if key != "" {
		header.Set("Idempotency-Key", key)
	}
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
		header.Set("Content-Type", "application/json")
	}
	return c.do(ctx, method, path, query, header, text, into)
}
