package server

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/webhook"
	"github.com/tallyman-dev/tallyman/server/webhook/ecr"
)

// newHandler serves what senders reach.
func (s *Server) newHandler(g *generation) http.Handler {
	r := chi.NewRouter()
	r.Use(s.limits.ClientAddress, s.observe, secureHeaders, s.refuseWhileDraining, s.refuseUnknownLength, s.limits.Bodies)
	for route, receiver := range g.receivers {
		h := &webhook.Handler{Receiver: receiver, Intake: g.intake}
		r.With(s.guard(route, deliveryCredential(receiver))).Post(route, s.answer(func(w http.ResponseWriter, r *http.Request) (int, any, error) {
			status, delivery, err := h.Handle(w, r)
			return status, delivery, err
		}))
		if bridge, ok := receiver.(*ecr.Receiver); ok && bridge.Auth == ecr.OAuth {
			r.With(s.guard(route+"/token", clientCredential(bridge))).Post(route+"/token", s.answer(giveToken(bridge, g.intake)))
		}
	}
	r.Get(appCreatedPath, appCreated)
	s.routeAPI(r, g)
	nothing := s.guard("none", nil)
	r.NotFound(nothing(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.writeProblem(w, gitops.Errorf(gitops.NotFound, "nothing is served at this path"))
	})).ServeHTTP)
	r.MethodNotAllowed(nothing(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		allowed := strings.Join(allowedMethods(r, req), ", ")
		w.Header().Set("Allow", allowed)
		s.writeProblemStatus(w, http.StatusMethodNotAllowed, gitops.Errorf(gitops.Invalid, "this path takes %s", allowed))
	})).ServeHTTP)
	return r
}

// newIntake makes the one way in for events, whatever brings them.
func (s *Server) newIntake(g *generation) *webhook.Intake {
	return &webhook.Intake{
		Planner: g, Authorizer: g.access, Inbox: s.store, Waiting: s.store, Recorder: s.metrics.deliveries, Logger: s.logger, Now: now,
		Config: configuration(g.config).Hash, Refused: s.audit.Refused, Spare: s.health.Spare, Kept: s.kept, Waits: s.finder.ask, Moved: s.movedTags(g), Hints: s.takeHint,
	}
}

// adminHandler serves what operators reach. A profile holds what is in memory, secrets
// included, and takes a processor for as long as it is asked for: it is there by choice.
func (s *Server) adminHandler() http.Handler {
	r := chi.NewRouter()
	r.Method(http.MethodGet, "/metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{Registry: s.metrics.registry}))
	if s.current().config.PProf {
		r.HandleFunc("/debug/pprof/*", pprof.Index)
		r.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		r.HandleFunc("/debug/pprof/profile", pprof.Profile)
		r.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		r.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return r
}

// probeHandler serves what the kubelet and load balancers ask.
func (s *Server) probeHandler() http.Handler {
	r := chi.NewRouter()
	r.Get("/livez", s.livez)
	r.Get("/readyz", s.readyz)
	return r
}

// observe measures every request by its route's pattern, never its path, and
// keeps a panic from taking more than its own request down.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		defer func() {
			if v := recover(); v != nil {
				s.logger.Error("panic", slog.Any("value", v), slog.String("stack", string(debug.Stack())))
				s.writeProblem(ww, gitops.Errorf(gitops.Internal, "an internal error; the log has the cause").WithCause(fmt.Errorf("panic: %v", v)))
			}
			s.metrics.requests.WithLabelValues(routeOf(r), methodOf(r), strconv.Itoa(ww.Status())).Observe(time.Since(began).Seconds())
		}()
		next.ServeHTTP(ww, r)
	})
}

// routeOf is the pattern that matched, which is known only after the handler.
func routeOf(r *http.Request) string {
	if pattern := chi.RouteContext(r.Context()).RoutePattern(); pattern != "" {
		return pattern
	}
	return "none"
}

// methodOf keeps the label's set closed: a method is whatever a client makes up.
func methodOf(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return r.Method
	}
	return "other"
}

// secureHeaders are for browsers that are led here: they must not show, keep or
// guess at an answer.
func secureHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// refuseUnknownLength refuses a request with a Transfer-Encoding. With a Content-Length
// beside it a proxy in front may see two requests where there is one, and package http
// does not tell whether there was one: it takes the header away. Senders of webhooks and
// our client say the length of what they send, so nobody needs the other way.
func (s *Server) refuseUnknownLength(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TransferEncoding) > 0 {
			w.Header().Set("Connection", "close") // what follows may be the rest of it
			s.writeProblem(w, gitops.FieldErrorf("header Transfer-Encoding", "is not supported: send the body with a Content-Length"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) refuseWhileDraining(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.draining.Load() {
			w.Header().Set("Connection", "close")
			s.writeProblem(w, gitops.Errorf(gitops.Unavailable, "the server is stopping: send it again"))
			return
		}
		next.ServeHTTP(w, r)
	})
}
