package api

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/access"
	"github.com/tallyman-dev/tallyman/server/verify"
)

// Who waits for Argo CD and a registry keeps no other from his answer, and waits for none.
func TestVerifyTakesNoTurn(t *testing.T) {
	w := &world{}
	w.authorized.Store(true)
	list, err := access.New(access.Config{Rules: []access.Rule{{Who: access.Who{Token: "reader"}, May: gitops.Rights()}}, Tokens: []string{"reader"}})
	if err != nil {
		t.Fatal(err)
	}
	a := New(Config{
		Access: list, Authenticators: []Authenticator{w}, Logger: slog.New(slog.DiscardHandler), Memory: Memory{Answers: 2},
		CheckNames: func([]string, []string) error { return nil },
		Verify: func(_ context.Context, environment, app string) (verify.Report, error) {
			return verify.Report{Environment: environment, App: app}, nil
		},
	})
	for _, principal := range []string{"token:reader", "token:other"} {
		if _, err := a.Shared.turns.take(t.Context(), principal); err != nil {
			t.Fatal(err)
		}
	}
	for _, route := range a.Routes() {
		if route.Pattern != "/api/v1/verify" {
			continue
		}
		status, report, err := route.Handle(httptest.NewRecorder(), aRequest(t, route))
		if err != nil || status != http.StatusOK || report.(verify.Report).App != "api" {
			t.Errorf("%d, %v, %v", status, report, err)
		}
	}
}
