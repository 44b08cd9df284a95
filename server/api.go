package server

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/acts"
	"github.com/tallyman-dev/tallyman/gitops/gate"
	"github.com/tallyman-dev/tallyman/server/api"
	"github.com/tallyman-dev/tallyman/server/config"
	"github.com/tallyman-dev/tallyman/server/poll"
)

// buildTokens makes the API's tokens of the configuration, and says which of their
// files cannot be used.
func buildTokens(c config.API) (tokens []api.Token, problems []error) {
	names := make(map[string]string) // by secret
	for i, token := range c.Tokens {
		secret, err := api.ReadToken(token.File)
		if err != nil {
			problems = append(problems, gitops.FieldErrorf(fmt.Sprintf("api.tokens[%d].file", i), "%s", gitops.PublicOf(err)).WithCause(err))
		} else if name, taken := names[string(secret)]; taken && name != token.Name {
			problems = append(problems, gitops.FieldErrorf(fmt.Sprintf("api.tokens[%d].file", i), "holds the secret of token %s, too: make another one with openssl rand -hex 32", name))
		}
		names[string(secret)] = token.Name
		expires, _ := token.Expiry() // config has checked it
		tokens = append(tokens, api.Token{Name: token.Name, File: token.File, Expires: expires})
	}
	return tokens, problems
}

// checkExpired warns of tokens that have expired: they authenticate no request.
func checkExpired(c config.API, at time.Time) (warnings []*gitops.Error) {
	for i, token := range c.Tokens {
		if expires, ok := token.Expiry(); ok && !expires.IsZero() && !at.Before(expires) {
			warnings = append(warnings, gitops.FieldErrorf(fmt.Sprintf("api.tokens[%d].expires", i), "token %s expired at %s: write a new token and a later time, or remove it",
				token.Name, expires.Format(time.RFC3339)))
		}
	}
	return warnings
}

// servesAPI reports whether any token can use the API. Without one it is not served.
func (p parts) servesAPI() bool { return len(p.tokens) > 0 || p.jobs != nil }

// routeAPI adds /api/v1 to what is served.
func (s *Server) routeAPI(r chi.Router, g *generation) {
	if !g.servesAPI() {
		return
	}
	authenticators := []api.Authenticator{&api.Tokens{Tokens: g.tokens, Used: s.metrics.credentials.Used, Logger: s.logger, Now: now}}
	if g.jobs != nil {
		authenticators = append(authenticators, jobs{g.jobs, s.store})
	}
	g.api = api.New(api.Config{
		Store:          countedStore{s.store, s.metrics.orders},
		Intake:         g.intake,
		Manifests:      liveManifests{&g.latest},
		Access:         g.access,
		Authenticators: authenticators,
		Environments:   slices.Sorted(maps.Keys(g.config.Environments)),
		Targets:        g.areasIn,
		Known:          g.knownApps,
		Sources:        g.sources(),
		Memory:         g.answerMemory(g.known()),
		Shared:         s.answers,
		Logger:         s.logger,
		NewID:          uuid.NewString,
		Drain:          g.ended,
		Hash:           configuration(g.config).Hash,
		Refused:        s.audit.Refused,
		Unwritable:     s.unwritable,
		FollowedBy:     func(environment, app string) string { return g.known().followedBy(environment, app) },
		Verify:         s.verifier.Verify,
		Freezes:        func() *gate.Freezes { return g.freezes },
		Pins:           acts.Limits{PinFor: g.config.Holds.PinFor, PinAtMost: g.config.Holds.PinAtMost},
		Holder:         s.holder,
		AwaitQuiet:     s.awaitQuiet,
		CheckNames:     g.checkHeld,
		Reported:       g.reported,
	})
	for _, route := range g.api.Routes() {
		r.With(s.guard(route.Pattern, bearerCredential(g.api))).Method(route.Method, route.Pattern, g.api.Logged(route, s.answer(route.Handle)))
	}
}

// unwritable says why the lanes would not write an update, whatever is decided about it.
func (s *Server) unwritable(_ context.Context, u gitops.Update) (why string, err error) {
	return s.lanes.NotConfigured(u), nil
}

// answerMemory divides what the API may take among its answers. What one delivery may
// mean is known from the configuration: a dispatch and an order name one app in one
// environment, and a pushed image every app and environment that has it.
func (p parts) answerMemory(k *known) api.Memory {
	most := 1
	for _, n := range k.FanOut() {
		most = max(most, n)
	}
	return api.MemoryFor(p.shares.Answers, p.shares.Streams, most, len(k.Targets()))
}

// sources are the sources of deliveries: those that are configured, polls of registries where
// there are some, and the API.
func (p parts) sources() []string {
	var sources []string
	for _, receiver := range p.receivers {
		sources = append(sources, receiver.Source())
	}
	slices.Sort(sources)
	if p.polls() {
		sources = append(sources, poll.Source)
	}
	if p.servesAPI() {
		sources = append(sources, api.Source)
	}
	if p.reverts {
		sources = append(sources, acts.RevertSource)
	}
	return sources
}

// allowedMethods are the methods that are served at a request's path.
func allowedMethods(routes chi.Routes, r *http.Request) (methods []string) {
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
		if routes.Match(chi.NewRouteContext(), method, r.URL.Path) {
			methods = append(methods, method)
		}
	}
	return methods
}
