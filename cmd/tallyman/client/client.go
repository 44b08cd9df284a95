// Package client speaks to a tallyman server's /api/v1.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

// Client speaks to one server. Safe for concurrent use.
type Client struct {
	base   *url.URL
	tokens TokenSource
	http   *http.Client
}

// TokenSource has the token of each request. Safe for concurrent use.
type TokenSource interface {
	// Token returns the token to send now.
	Token(ctx context.Context) (string, error)
	// Refused says that the server does not accept a token, and reports whether Token
	// returns another from now on.
	Refused(token string) bool
}

// fixed is a token that stays.
type fixed string

func (f fixed) Token(context.Context) (string, error) { return string(f), nil }
func (fixed) Refused(string) bool                     { return false }

// answerWithin bounds every request but streams. A search far back takes longest.
const answerWithin = time.Minute

// New makes a client of the server at an address such as https://tallyman.example.
// The token is sent over plain http to this machine alone.
func New(address, token string) (*Client, error) {
	if token == "" {
		return nil, gitops.FieldErrorf("token", "is missing")
	}
	return NewWith(address, fixed(token))
}

// NewWith is New with tokens that change.
func NewWith(address string, tokens TokenSource) (*Client, error) {
	base, err := parseAddress("url", strings.TrimSuffix(address, "/"))
	if err != nil {
		return nil, err
	}
	return &Client{base: base, tokens: tokens, http: newHTTP()}, nil
}

// newHTTP makes a client for requests with a token, which is for their address alone.
func newHTTP() *http.Client {
	return &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// parseAddress reads an address that a token may be sent to.
func parseAddress(field, address string) (*url.URL, error) {
	at, err := url.Parse(address)
	if err != nil || at.Host == "" || at.Scheme != "http" && at.Scheme != "https" {
		return nil, gitops.FieldErrorf(field, "must begin with http:// or https://")
	}
	if at.Scheme == "http" && !isLoopback(at.Hostname()) {
		return nil, gitops.FieldErrorf(field, "must begin with https://: the token would go to %s in the clear", at.Host)
	}
	return at, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Deliveries lists deliveries, newest first. The filters are those of the API:
// source, outcome.
func (c *Client) Deliveries(ctx context.Context, filter url.Values) (list api.DeliveryList, err error) {
	return list, c.get(ctx, "/api/v1/deliveries", filter, &list)
}

// Updates lists updates, newest first. The filters are those of the API:
// environment, app, state.
func (c *Client) Updates(ctx context.Context, filter url.Values) (list api.UpdateList, err error) {
	return list, c.get(ctx, "/api/v1/updates", filter, &list)
}

// Apps lists what is known, by name. The filters are those of the API: app, environment,
// manifests, problems.
func (c *Client) Apps(ctx context.Context, filter url.Values) (list api.KnownAppList, err error) {
	return list, c.get(ctx, "/api/v1/apps", filter, &list)
}

// Audit lists the audit's entries, newest first. The filters are those of the API. A
// page may be empty and have a next one.
func (c *Client) Audit(ctx context.Context, filter url.Values) (list api.AuditList, err error) {
	return list, c.get(ctx, "/api/v1/audit", filter, &list)
}

// Delivery returns a delivery with every step of its updates, by SOURCE/ID or by the
// sender's id alone.
func (c *Client) Delivery(ctx context.Context, id string) (d gitops.Delivery, err error) {
	parts := strings.SplitN(id, "/", 2)
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return d, c.get(ctx, "/api/v1/deliveries/"+strings.Join(parts, "/"), nil, &d)
}

// Update returns an update with every step.
func (c *Client) Update(ctx context.Context, id string) (u gitops.Update, err error) {
	return u, c.get(ctx, "/api/v1/updates/"+url.PathEscape(id), nil, &u)
}

// Commit returns the commit of an update, and what the update changed in it.
func (c *Client) Commit(ctx context.Context, update string) (found api.Commit, err error) {
	return found, c.get(ctx, "/api/v1/updates/"+url.PathEscape(update)+"/commit", nil, &found)
}

// Environments returns the state of every environment now.
func (c *Client) Environments(ctx context.Context) (e api.Environments, err error) {
	return e, c.get(ctx, "/api/v1/environments", nil, &e)
}

// History returns the tags that an app had. The filters are those of the API: environment
// and app, limit, commits.
func (c *Client) History(ctx context.Context, filter url.Values) (h api.History, err error) {
	return h, c.get(ctx, "/api/v1/history", filter, &h)
}

// Retry makes a failed update pending again, and lifts what blocks a pending one. The
// reason may be empty.
func (c *Client) Retry(ctx context.Context, id, reason string) (gitops.Update, error) {
	return c.decide(ctx, id, "retry", reason)
}

// Clear has an object parsed again that was set aside. The reason may be empty.
func (c *Client) Clear(ctx context.Context, object, reason string) (s gitops.Suspect, err error) {
	body, err := json.Marshal(api.DecisionRequest{Reason: reason})
	if err != nil {
		return s, err
	}
	return s, c.do(ctx, http.MethodPost, "/api/v1/set-aside/"+url.PathEscape(object)+"/clear", nil, nil, body, &s)
}

// Cancel requests that a pending update is not written, and returns it as it is a
// moment later: with an end, or pending with CancelRequest.
func (c *Client) Cancel(ctx context.Context, id, reason string) (gitops.Update, error) {
	return c.decide(ctx, id, "cancel", reason)
}

// Dismiss makes a failed update cancelled.
func (c *Client) Dismiss(ctx context.Context, id, reason string) (gitops.Update, error) {
	return c.decide(ctx, id, "dismiss", reason)
}

func (c *Client) decide(ctx context.Context, id, action, reason string) (u gitops.Update, err error) {
	body, err := json.Marshal(api.DecisionRequest{Reason: reason})
	if err != nil {
		return u, err
	}
	header := http.Header{"Content-Type": {"application/json"}}
	return u, c.do(ctx, http.MethodPost, "/api/v1/updates/"+url.PathEscape(id)+"/"+action, nil, header, body, &u)
}

// Order requests an update. The same key again is the same order, so a request that
// was not answered can be repeated.
func (c *Client) Order(ctx context.Context, key string, o api.OrderRequest) (answer api.OrderAnswer, err error) {
	return answer, c.act(ctx, http.MethodPost, "/api/v1/updates", nil, key, o, &answer)
}

func (c *Client) get(ctx context.Context, path string, query url.Values, into any) error {
	return c.do(ctx, http.MethodGet, path, query, nil, nil, into)
}

// do makes a request and reads its answer.
func (c *Client) do(ctx context.Context, method, path string, query url.Values, header http.Header, body []byte, into any) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	resp, err := c.send(ctx, method, path, query, header, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<20)).Decode(into); err != nil {
		return gitops.Errorf(gitops.Unavailable, "the answer of %s cannot be read", c.base.Host).WithCause(err)
	}
	return nil
}

// send makes a request and returns an answer of 2xx; its body is the caller's to
// close. A token that is not accepted any more is replaced once.
func (c *Client) send(ctx context.Context, method, path string, query url.Values, header http.Header, body []byte) (*http.Response, error) {
	for again := true; ; again = false {
		token, err := c.tokens.Token(ctx)
		if err != nil {
			return nil, err
		}
		resp, err := c.sendWith(ctx, token, method, path, query, header, body)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode/100 == 2 {
			return resp, nil
		}
		err = c.problem(resp)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized || !again || !c.tokens.Refused(token) {
			return nil, err
		}
	}
}

// sendWith makes a request with a token and returns its answer, whatever it is.
func (c *Client) sendWith(ctx context.Context, token, method, path string, query url.Values, header http.Header, body []byte) (*http.Response, error) {
	address := c.base.String() + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, unreachable(err, c.base.Host)
	}
	return resp, nil
}

// unreachable is the error of a request that got no answer, without its address, which
// a person knows.
func unreachable(err error, host string) error {
	var bad *url.Error
	if errors.As(err, &bad) {
		err = bad.Err
	}
	return gitops.Errorf(gitops.Unavailable, "%s cannot be reached", host).WithCause(err)
}

// problem is the error in an answer.
func (c *Client) problem(resp *http.Response) error {
	var problem struct {
		Detail string      `json:"detail"`
		Code   gitops.Code `json:"code"`
		Field  string      `json:"field"`

		BlockedBy []gitops.Block `json:"blockedBy"`
	}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if json.Unmarshal(text, &problem) != nil || problem.Code == "" {
		return gitops.Errorf(gitops.Unavailable, "%s answers HTTP %s: is it a tallyman, and is its API configured?", c.base.Host, resp.Status)
	}
	// A tallyman without an API answers this at every path. It says nothing about what
	// was asked for, and a repetition does not help.
	if problem.Detail == "nothing is served at this path" {
		return gitops.Errorf(gitops.Invalid, "%s has no API at this address: does its configuration have api.tokens?", c.base.Host)
	}
	// The detail has the field already.
	err := &gitops.Error{Code: problem.Code, Field: problem.Field, Message: strings.TrimPrefix(problem.Detail, problem.Field+": ")}
	if len(problem.BlockedBy) > 0 {
		return &HeldError{err, problem.BlockedBy}
	}
	return err
}
