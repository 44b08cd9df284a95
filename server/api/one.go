package api

import (
	"context"
	"net/http"
	"net/url"

	"github.com/tallyman-dev/tallyman/gitops"
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

func (a *API) delivery(_ http.ResponseWriter, r *http.Request) (int, any, error) {
	key := gitops.DeliveryKey{Source: variable(r, "source"), ID: variable(r, "id")}
	d, err := a.Store.Delivery(r.Context(), key)
	if err != nil {
		return 0, nil, err
	}
	d, err = a.withSteps(r.Context(), d)
	return http.StatusOK, d, err
}

// deliveryByID finds a delivery by the sender's id alone, which is what people
// have at hand. Two senders may have given the same one.
func (a *API) deliveryByID(_ http.ResponseWriter, r *http.Request) (int, any, error) {
	id := variable(r, "id")
	var found []gitops.Delivery
	for _, source := range a.Sources {
		d, err := a.Store.Delivery(r.Context(), gitops.DeliveryKey{Source: source, ID: id})
		switch {
		case err == nil:
			found = append(found, d)
		case gitops.CodeOf(err) != gitops.NotFound:
			return 0, nil, err
		}
	}
	switch len(found) {
	case 0:
		return 0, nil, gitops.Errorf(gitops.NotFound, "no source has sent a delivery with this id")
	case 1:
		d, err := a.withSteps(r.Context(), found[0])
		return http.StatusOK, d, err
	}
	return 0, nil, gitops.Errorf(gitops.Conflict, "%s and %s have both sent a delivery with this id: say SOURCE/ID", found[0].Source, found[1].Source)
}

// withSteps adds what happened to each of a delivery's updates.
func (a *API) withSteps(ctx context.Context, d gitops.Delivery) (gitops.Delivery, error) {
	updates := make([]gitops.Update, len(d.Updates))
	for i, u := range d.Updates {
		var err error
		if updates[i], err = a.Store.Update(ctx, u.ID); err != nil {
			return d, err
		}
	}
	d.Updates = updates
	return d, nil
}

func (a *API) update(_ http.ResponseWriter, r *http.Request) (int, any, error) {
	u, err := a.Store.Update(r.Context(), variable(r, "id"))
	return http.StatusOK, u, err
}
