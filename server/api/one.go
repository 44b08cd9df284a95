package api

import (
	"context"
	"net/http"
	"net/url"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// variable is a part of the path in plain text. Where a client has escaped more
// than it must, as in ci%3A42, the router hands the parts on as they came.
func variable(r *http.Request, name string) string {
	text := r.PathValue(name)
	if r.URL.RawPath == "" {
		return text
	}
	if plain, err := url.PathUnescape(text); err == nil {
		return plain
	}
	return text
}

// notFound is the answer for what is not there, and for what the caller may not read:
// nobody learns which it is.
func notFound(kind, id string) error {
	return gitops.Errorf(gitops.NotFound, "there is no %s %.200s that your credential may read", kind, id)
}

// hidden makes the store's "not found" the answer that notFound is, and leaves other
// errors as they are.
func hidden(err error, kind, id string) error {
	if gitops.CodeOf(err) == gitops.NotFound {
		return notFound(kind, id)
	}
	return err
}

func (a *API) delivery(_ http.ResponseWriter, r *http.Request) (int, any, error) {
	key := gitops.DeliveryKey{Source: variable(r, "source"), ID: variable(r, "id")}
	d, err := a.visible(r.Context(), a.viewOf(callerOf(r)), key)
	if err != nil {
		return 0, nil, hidden(err, "delivery", key.String())
	}
	d, err = a.withSteps(r.Context(), callerOf(r), d)
	return http.StatusOK, d, err
}

// deliveryByID finds a delivery by the sender's id alone, which is what people have at
// hand, or by an Idempotency-Key that the caller ordered with. Two senders may have
// given the same id.
func (a *API) deliveryByID(_ http.ResponseWriter, r *http.Request) (int, any, error) {
	id, v := variable(r, "id"), a.viewOf(callerOf(r))
	var found []gitops.Delivery
	for _, source := range a.Sources {
		ids := []string{id}
		if source == Source {
			ids = append(ids, DeliveryID(v.principal, id))
		}
		for _, id := range ids {
			d, err := a.visible(r.Context(), v, gitops.DeliveryKey{Source: source, ID: id})
			switch {
			case err == nil:
				found = append(found, d)
			case gitops.CodeOf(err) != gitops.NotFound:
				return 0, nil, err
			}
		}
	}
	switch len(found) {
	case 0:
		return 0, nil, notFound("delivery", id)
	case 1:
		d, err := a.withSteps(r.Context(), callerOf(r), found[0])
		return http.StatusOK, d, err
	}
	return 0, nil, gitops.Errorf(gitops.Conflict, "%s and %s both have this id: say which, as SOURCE/ID", found[0].Key(), found[1].Key())
}

// visible is the part of a delivery that the caller may read. The error's code is
// NotFound when there is none.
func (a *API) visible(ctx context.Context, v view, key gitops.DeliveryKey) (gitops.Delivery, error) {
	d, err := a.Store.Delivery(ctx, key)
	if err != nil {
		return d, err
	}
	d, ok := v.delivery(d)
	if !ok {
		return d, notFound("delivery", key.String())
	}
	return d, nil
}

// withSteps adds what happened to each of a delivery's updates, and what the caller may
// decide about it.
func (a *API) withSteps(ctx context.Context, c Caller, d gitops.Delivery) (gitops.Delivery, error) {
	updates := make([]gitops.Update, len(d.Updates))
	for i, u := range d.Updates {
		u, err := a.Store.Update(ctx, u.ID)
		if err != nil {
			return d, err
		}
		if updates[i], err = a.inFull(ctx, c, u); err != nil {
			return d, err
		}
	}
	d.Updates = updates
	return d, a.markOvertaken(ctx, pointers(updates))
}

func (a *API) update(_ http.ResponseWriter, r *http.Request) (int, any, error) {
	u, err := a.readable(r)
	if err == nil {
		u, err = a.inFull(r.Context(), callerOf(r), u)
	}
	if err == nil {
		err = a.markOvertaken(r.Context(), []*gitops.Update{&u})
	}
	return http.StatusOK, u, hidden(err, "update", variable(r, "id"))
}

// inFull is an update with what only answers about one update or delivery have.
func (a *API) inFull(ctx context.Context, c Caller, u gitops.Update) (gitops.Update, error) {
	u, err := a.withDecisions(ctx, c, u)
	if err != nil {
		return u, err
	}
	if a.FollowedBy != nil {
		u.FollowedBy = a.FollowedBy(u.Environment, u.App)
	}
	u.Feedback, err = queue.FeedbackOf(ctx, a.Store, u)
	return u, err
}

// readable is the update that the path names. The error's code is NotFound when there is
// none that the caller may read.
func (a *API) readable(r *http.Request) (gitops.Update, error) {
	id := variable(r, "id")
	u, err := a.Store.Update(r.Context(), id)
	if err == nil && !a.viewOf(callerOf(r)).update(u) {
		err = notFound("update", id)
	}
	return u, hidden(err, "update", id)
}
