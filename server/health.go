package server

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// livez answers whether the process makes progress: 503 when a lane makes none for
// longer than anything it does may take, which a restart cures. A store or a git
// server that is away is not cured by one, and does not count.
func (s *Server) livez(w http.ResponseWriter, _ *http.Request) {
	if environment, stuck := s.lanes.Stuck(); stuck {
		s.logger.Error("lane stuck", slog.String("environment", environment))
		http.Error(w, fmt.Sprintf("lane %s makes no progress", environment), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// readyz answers whether a delivery would be taken now: not before the public
// listener is there, not while draining, and not while the store does not answer.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if s.draining.Load() {
		http.Error(w, "draining", http.StatusServiceUnavailable)
	} else if !s.listening.Load() {
		http.Error(w, "starting", http.StatusServiceUnavailable)
	} else if err := s.store.Ping(ctx); err != nil {
		http.Error(w, "store: "+gitops.PublicOf(err), http.StatusServiceUnavailable)
	} else {
		fmt.Fprintln(w, "ok")
	}
}
