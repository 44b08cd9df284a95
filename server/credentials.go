package server

import (
	"context"
	"net/http"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
	"github.com/tallyman-dev/tallyman/server/limits"
	"github.com/tallyman-dev/tallyman/server/webhook"
	"github.com/tallyman-dev/tallyman/server/webhook/ecr"
	"github.com/tallyman-dev/tallyman/server/webhook/github"
	"github.com/tallyman-dev/tallyman/server/webhook/sns"
)

// The largest bodies whose signature is checked for a client that was refused too
// often. They are more than what orders an update has: a repository_dispatch has up to
// 64 KB of client_payload and some 10 KB besides, an ECR event in SNS's envelope 2 KB.
const (
	maxSignedDispatch = 128 << 10
	maxSignedMessage  = 16 << 10
)

// guard bounds the work for what is refused at a route.
func (s *Server) guard(route string, credential *limits.Credential) func(http.Handler) http.Handler {
	return s.limits.Guard(route, credential, s.overLimit, s.writeProblem)
}

// deliveryCredential is what a sender of deliveries shows.
func deliveryCredential(receiver webhook.Receiver) *limits.Credential {
	c := &limits.Credential{Verify: func(_ context.Context, header http.Header, body []byte) error {
		return receiver.Authenticate(header, body)
	}}
	switch r := receiver.(type) {
	case *github.Receiver:
		c.Body = maxSignedDispatch
	case *sns.Receiver:
		c.Body, c.Prepare = maxSignedMessage, r.Prepare
	}
	return c
}

// clientCredential is what a connection of EventBridge's shows to get a token.
func clientCredential(bridge *ecr.Receiver) *limits.Credential {
	return &limits.Credential{Body: maxTokenForm, Verify: func(_ context.Context, header http.Header, body []byte) error {
		if _, err := bridge.IssueToken(header, body); gitops.CodeOf(err) == gitops.Unauthorized {
			return err
		}
		return nil // who is known is told by the route what is wrong
	}}
}

// bearerCredential is what a client of the API shows.
func bearerCredential(a *api.API) *limits.Credential {
	return &limits.Credential{
		Prepare: func(ctx context.Context, header http.Header, _ []byte) error { return a.PrepareCredential(ctx, header) },
		Verify:  func(ctx context.Context, header http.Header, _ []byte) error { return a.CheckCredential(ctx, header) },
	}
}
