package githubapp

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/google/go-github/v62/github"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Delivery is one attempt of GitHub's to deliver an event to the App's webhook.
type Delivery struct {
	ID           int64
	GUID         string // the event's, the same for each attempt
	DeliveredAt  time.Time
	OK           bool // the webhook answered 2xx
	Event        string
	Installation int64 // 0 when the event is of none
	Repository   int64 // likewise
}

// DeliveryRequest is what was delivered.
type DeliveryRequest struct {
	Header http.Header
	Body   json.RawMessage // the payload, as JSON; not the bytes that were signed
}

// deliveriesPerPage is the most that GitHub gives at once.
const deliveriesPerPage = 100

// Deliveries lists attempts, the newest first, a page at a time: cursor is "" for
// the first page, and next is "" after the last. GitHub remembers three days. Its
// errors are [*gitops.Error].
func (a *App) Deliveries(ctx context.Context, cursor string) (page []Delivery, next string, err error) {
	list, response, err := a.app.Apps.ListHookDeliveries(ctx, &github.ListCursorOptions{PerPage: deliveriesPerPage, Cursor: cursor})
	if err != nil {
		return nil, "", APIError("listing the webhook's deliveries", err)
	}
	page = make([]Delivery, len(list))
	for i, d := range list {
		page[i] = Delivery{
			ID: d.GetID(), GUID: d.GetGUID(), DeliveredAt: d.GetDeliveredAt().UTC(), OK: d.GetStatus() == "OK",
			Event: d.GetEvent(), Installation: d.GetInstallationID(), Repository: d.GetRepositoryID(),
		}
	}
	return page, response.Cursor, nil
}

// DeliveryRequest returns what an attempt sent. NotFound when GitHub no longer
// remembers it.
func (a *App) DeliveryRequest(ctx context.Context, id int64) (DeliveryRequest, error) {
	d, _, err := a.app.Apps.GetHookDelivery(ctx, id)
	if err != nil {
		return DeliveryRequest{}, APIError("asking for a delivery of the webhook", err)
	}
	if d.Request == nil || d.Request.RawPayload == nil {
		return DeliveryRequest{}, gitops.Errorf(gitops.NotFound, "GitHub no longer has what the delivery sent")
	}
	request := DeliveryRequest{Header: make(http.Header), Body: *d.Request.RawPayload}
	for name, value := range d.Request.Headers {
		request.Header.Set(name, value)
	}
	return request, nil
}

// Redeliver asks GitHub to make an attempt again. It comes to the webhook like
// any other, with the same GUID.
func (a *App) Redeliver(ctx context.Context, id int64) error {
	_, _, err := a.app.Apps.RedeliverHookDelivery(ctx, id)
	var accepted *github.AcceptedError // which is how this version of the client says 202
	if err == nil || errors.As(err, &accepted) {
		return nil
	}
	return APIError("asking for a redelivery", err)
}
