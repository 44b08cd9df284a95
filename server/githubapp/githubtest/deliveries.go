package githubtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Delivery is one attempt to deliver an event to the App's webhook, as GitHub
// remembers it for three days.
type Delivery struct {
	ID           int64 // rises with each attempt
	GUID         string
	DeliveredAt  time.Time
	Redelivery   bool
	Status       string // "OK" when the webhook answered 2xx; default that
	StatusCode   int    // default 200
	Event        string // default "repository_dispatch"
	Action       string
	Installation int64
	Repository   int64
	ThrottledAt  time.Time

	Headers map[string]string // of the request; those that GitHub always sends are added
	Payload string            // of the request: JSON
}

// AddDelivery makes GitHub remember an attempt. Ids must rise.
func (s *Server) AddDelivery(d Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.deliveries); n > 0 && s.deliveries[n-1].ID >= d.ID {
		s.t.Fatalf("delivery %d comes after %d", d.ID, s.deliveries[n-1].ID)
	}
	if d.Status == "" {
		d.Status, d.StatusCode = "OK", http.StatusOK
	}
	if d.Event == "" {
		d.Event = "repository_dispatch"
	}
	s.deliveries = append(s.deliveries, d)
}

// Redelivered are the ids of the attempts that GitHub was asked to make again.
func (s *Server) Redelivered() []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.redelivered)
}

// summary is the form of a delivery in the list.
func (d Delivery) summary() map[string]any {
	orNull := func(known bool, value any) any {
		if !known {
			return nil
		}
		return value
	}
	return map[string]any{
		"id": d.ID, "guid": d.GUID, "delivered_at": d.DeliveredAt.UTC().Format(time.RFC3339), "redelivery": d.Redelivery,
		"duration": 0.27, "status": d.Status, "status_code": d.StatusCode, "event": d.Event, "action": orNull(d.Action != "", d.Action),
		"installation_id": orNull(d.Installation != 0, d.Installation), "repository_id": orNull(d.Repository != 0, d.Repository),
		"throttled_at": orNull(!d.ThrottledAt.IsZero(), d.ThrottledAt.UTC().Format(time.RFC3339)),
	}
}

// retention is how long deliveries are remembered on github.com.
const retention = 3 * 24 * time.Hour

// remembered are the deliveries that are not too old, the newest first.
func (s *Server) remembered() []Delivery {
	var kept []Delivery
	for _, d := range slices.Backward(s.deliveries) {
		if s.now().Sub(d.DeliveredAt) <= retention {
			kept = append(kept, d)
		}
	}
	return kept
}

// cursorPrefix begins a cursor, which is opaque to its readers.
const cursorPrefix = "v1_"

func (s *Server) listDeliveries(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	for name := range query {
		if !slices.Contains([]string{"per_page", "cursor", "status"}, name) {
			s.refuse(w, r, http.StatusUnprocessableEntity, "there is no parameter %s", name)
			return
		}
	}
	perPage := 30
	if text := query.Get("per_page"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 100 {
			s.refuse(w, r, http.StatusUnprocessableEntity, "per_page must be 1 to 100, not %s", text)
			return
		}
		perPage = n
	}
	list := s.remembered()
	if cursor := query.Get("cursor"); cursor != "" {
		before, err := strconv.ParseInt(strings.TrimPrefix(cursor, cursorPrefix), 10, 64)
		if err != nil || !strings.HasPrefix(cursor, cursorPrefix) {
			s.refuse(w, r, http.StatusUnprocessableEntity, "Invalid cursor")
			return
		}
		list = slices.DeleteFunc(list, func(d Delivery) bool { return d.ID >= before })
	}
	switch status := query.Get("status"); status {
	case "":
	case "success", "failure": // GitHub calls a failure only what has a status of 400 to 599
		list = slices.DeleteFunc(list, func(d Delivery) bool {
			failed := d.StatusCode >= 400 && d.StatusCode <= 599
			return failed != (status == "failure")
		})
	default:
		s.refuse(w, r, http.StatusUnprocessableEntity, "Invalid status %q", status)
		return
	}
	page := list[:min(perPage, len(list))]
	if len(page) < len(list) {
		next := url.Values{"per_page": {strconv.Itoa(perPage)}, "cursor": {cursorPrefix + strconv.FormatInt(page[len(page)-1].ID, 10)}}
		w.Header().Set("Link", fmt.Sprintf("<%s/app/hook/deliveries?%s>; rel=\"next\"", s.URL, next.Encode()))
	}
	items := make([]map[string]any, len(page))
	for i, d := range page {
		items[i] = d.summary()
	}
	answer(w, http.StatusOK, items)
}

func (s *Server) delivery(id int64) (Delivery, bool) {
	for _, d := range s.remembered() {
		if d.ID == id {
			return d, true
		}
	}
	return Delivery{}, false
}

func (s *Server) getDelivery(w http.ResponseWriter, r *http.Request, id int64) {
	d, ok := s.delivery(id)
	if !ok {
		s.refuse(w, r, http.StatusNotFound, "Not Found")
		return
	}
	headers := map[string]string{
		"Accept": "*/*", "User-Agent": "GitHub-Hookshot/abcdef0", "content-type": "application/json",
		"X-GitHub-Delivery": d.GUID, "X-GitHub-Event": d.Event, "X-GitHub-Hook-ID": "42",
		"X-GitHub-Hook-Installation-Target-ID": strconv.Itoa(AppID), "X-GitHub-Hook-Installation-Target-Type": "integration",
	}
	for name, value := range d.Headers {
		headers[name] = value
	}
	payload := json.RawMessage(d.Payload)
	if d.Payload == "" {
		payload = json.RawMessage("{}")
	}
	item := d.summary()
	item["request"] = map[string]any{"headers": headers, "payload": payload}
	item["response"] = map[string]any{"headers": map[string]string{}, "payload": ""}
	answer(w, http.StatusOK, item)
}

// redeliver answers 202 with an empty object, which go-github v62 hands on as an
// AcceptedError.
func (s *Server) redeliver(w http.ResponseWriter, r *http.Request, id int64) {
	if _, ok := s.delivery(id); !ok {
		s.refuse(w, r, http.StatusNotFound, "Not Found")
		return
	}
	s.redelivered = append(s.redelivered, id)
	answer(w, http.StatusAccepted, map[string]any{})
}
