package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/limits"
)

// The listeners, by the fields that configure them.
const (
	publicListener = "listen"
	adminListener  = "adminListen"
	probeListener  = "probeListen"
)

// bind binds the address that field configures.
func (s *Server) bind(field, address string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, gitops.FieldErrorf(field, "cannot listen on %s", address).WithCause(err)
	}
	s.onStop(field, func(context.Context) error {
		_ = listener.Close() // it is closed already once it was served
		return nil
	})
	return listener, nil
}

// serveOperators serves what is not for senders, before anything else: a probe is answered
// from the start.
func (s *Server) serveOperators() (err error) {
	if s.admin, err = s.bind(adminListener, s.current().config.AdminListen); err != nil {
		return err
	}
	s.serve(adminListener, limits.FewConnections(s.admin, adminListener, s.metrics.connections), s.adminHandler())
	if s.probes, err = s.bind(probeListener, s.current().config.ProbeListen); err != nil {
		return err
	}
	s.serve(probeListener, limits.NewestConnections(s.probes, probeListener, s.metrics.connections), s.probeHandler())
	return nil
}

// serve serves what arrives at the address that field configures.
func (s *Server) serve(field string, listener net.Listener, handler http.Handler) {
	srv := s.httpServer(handler)
	limits.Protect(srv)
	if field == probeListener {
		forProbes(srv)
	}
	s.onStop(field, func(ctx context.Context) error {
		// A request that is only half here was promised nothing: it must not take
		// the time that the lanes need.
		ctx, cancel := requestDeadline(ctx)
		defer cancel()
		if srv.Shutdown(ctx) != nil {
			return srv.Close()
		}
		return nil
	})
	s.background.Go(func() {
		if err := srv.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- gitops.FieldErrorf(field, "no longer listening").WithCause(err)
		}
	})
}

// httpServer bounds what a client can hold before it is authenticated: a
// connection, for as long as a request may take to arrive completely.
func (s *Server) httpServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second, // GitHub and EventBridge have given up by then
		WriteTimeout:      30 * time.Second, // more for a look at the past, for a profile, and for a stream with each event
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug),
	}
}

// forProbes shortens what a client may take where a request is a line and is answered at
// once, but for a store that is asked whether it is there.
func forProbes(srv *http.Server) {
	srv.ReadHeaderTimeout, srv.ReadTimeout, srv.WriteTimeout, srv.IdleTimeout = 2*time.Second, 2*time.Second, 5*time.Second, 15*time.Second
	srv.MaxHeaderBytes = 4 << 10
}

// requestDeadline ends after a quarter of the time that ctx has left.
func requestDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/4)
}
