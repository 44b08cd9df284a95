package api

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// setAside are the objects that are not parsed any more and that the caller may see: a
// file of an app that it may read, and what the git server sends, which concerns all.
func (a *API) setAside(ctx context.Context, v view) ([]gitops.Suspect, error) {
	suspects, err := a.Store.Suspects(ctx)
	if err != nil {
		return nil, err
	}
	var shown []gitops.Suspect
	for _, s := range suspects {
		if s.SetAside() && a.mayRead(v, s) {
			shown = append(shown, s)
		}
	}
	return shown, nil
}

func (a *API) mayRead(v view, s gitops.Suspect) bool {
	if v.scope.All() || s.Kind == gitops.ParsedPack {
		return true
	}
	for _, t := range a.Targets(s.Path) {
		if v.scope.Allows(t.App, t.Environment) {
			return true
		}
	}
	return false
}

// clear has an object parsed again that was set aside. It needs the right to retry the
// updates of all that it concerns: if it kills the process again, they all wait.
func (a *API) clear(w http.ResponseWriter, r *http.Request) (int, any, error) {
	reason, err := readReason(w, r)
	if err != nil {
		return 0, nil, err
	}
	object, caller := variable(r, "object"), callerOf(r)
	s, err := a.suspect(r.Context(), object, a.viewOf(caller))
	if err != nil {
		return 0, nil, err
	}
	entry := gitops.AuditEntry{
		Principal: caller.Principal.ID(), Actor: caller.Principal.Actor(), Credential: caller.Credential,
		Remote: webhook.ClientIP(r.RemoteAddr), Reason: reason, Config: a.Hash,
	}
	concerned := a.Targets(s.Path)
	if s.Kind == gitops.ParsedPack || len(concerned) == 0 { // the file left the configuration
		concerned = a.Targets("")
	}
	for _, t := range concerned {
		if entry.Rule, err = a.Access.Authorize(caller.Principal, gitops.RightRetry, t.App, t.Environment); err != nil {
			a.refuse(r, caller, asked{gitops.RightRetry, t.App, t.Environment, "", gitops.DeliveryKey{}}, err)
			return 0, nil, err
		}
	}
	if len(concerned) == 1 {
		entry.Environment, entry.App = concerned[0].Environment, concerned[0].App
	}
	if s, err = a.Store.ClearSuspect(r.Context(), object, entry); err != nil {
		return 0, nil, err
	}
	a.Logger.InfoContext(r.Context(), "object cleared", slog.String("kind", string(s.Kind)), slog.String("path", s.Path),
		slog.String("object", s.Object), slog.String("actor", entry.Actor), slog.String("reason", reason))
	return http.StatusOK, s, nil
}

// suspect finds an object that is set aside. One that the caller may not see is not found.
func (a *API) suspect(ctx context.Context, object string, v view) (gitops.Suspect, error) {
	shown, err := a.setAside(ctx, v)
	if err != nil {
		return gitops.Suspect{}, err
	}
	for _, s := range shown {
		if s.Object == object {
			return s, nil
		}
	}
	return gitops.Suspect{}, queue.ErrNoSuspect(object)
}
