package webhook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// Each request goes as far as it may and no further, and what it led to is
// answered, counted and stored alike.
func TestHandle(t *testing.T) {
	whole := []string{"read", "authenticate", "decode", "plan", "accept"}
	for _, c := range []struct {
		name       string
		credential string
		body       io.Reader
		steps      []string
		status     int         // when there is no error
		code       gitops.Code // when there is one
		outcome    string
		stored     gitops.Outcome // "" when nothing is
	}{
		{"an order", secret, strings.NewReader("d1 order"), whole, 202, "", "accepted", gitops.OutcomeAccepted},
		{"an event that asks for nothing", secret, strings.NewReader("d1 nothing"), whole, 200, "", "ignored", gitops.OutcomeIgnored},
		{"an order that cannot be", secret, strings.NewReader("d1 wrong order"), whole, 0, gitops.Rejected, "rejected", gitops.OutcomeRejected},
		{"a wrong credential", "guess", strings.NewReader("d1 order"), whole[:2], 0, gitops.Unauthorized, "unauthorized", ""},
		{"no credential and no body", "", strings.NewReader(""), whole[:2], 0, gitops.Unauthorized, "unauthorized", ""},
		{"a body of no known form", secret, strings.NewReader("d1 gibberish"), whole[:3], 0, gitops.Invalid, "error", ""},
		{"the largest body", secret, strings.NewReader("d1 order" + strings.Repeat(" ", webhook.MaxBody-8)), whole, 202, "", "accepted", gitops.OutcomeAccepted},
		{"a byte more", secret, strings.NewReader("d1 order" + strings.Repeat(" ", webhook.MaxBody-7)), whole[:1], 0, gitops.TooLarge, "error", ""},
		{"too large and not even signed", "", strings.NewReader(strings.Repeat("x", 5*webhook.MaxBody)), whole[:1], 0, gitops.TooLarge, "error", ""},
		{"a body that breaks off", secret, io.MultiReader(strings.NewReader("d1 order"), iotest.ErrReader(io.ErrUnexpectedEOF)), whole[:1], 0, gitops.Invalid, "error", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFakes(t)
			a := f.send(t.Context(), c.credential, c.body)
			if diff := cmp.Diff(c.steps, a.steps); diff != "" {
				t.Errorf("steps:\n%s", diff)
			}
			if c.code == "" && (a.err != nil || a.status != c.status) || c.code != "" && gitops.CodeOf(a.err) != c.code {
				t.Errorf("answered %d, %v, want %d %s", a.status, a.err, c.status, c.code)
			}
			if diff := cmp.Diff([]string{c.outcome}, a.outcomes); diff != "" {
				t.Errorf("counted:\n%s", diff)
			}
			d, kept := f.stored[gitops.DeliveryKey{Source: source, ID: "d1"}]
			if kept != (c.stored != "") || d.Outcome != c.stored || len(f.stored) > 1 {
				t.Errorf("stored %+v, want the outcome %q", f.stored, c.stored)
			}
			if !bytes.Equal(d.Body, a.delivery.Body) {
				t.Error("the body that is stored is another")
			}
			a.delivery.Body, d.Body = nil, nil // comparing 1 MiB by its elements takes minutes
			if diff := cmp.Diff(d, a.delivery, cmpopts.EquateEmpty()); a.err == nil && diff != "" {
				t.Errorf("the answer is not what is stored:\n%s", diff)
			}
		})
	}
}

// The list of updates in an answer is never null, so that nobody has to ask.
func TestHandleAnswersWithAList(t *testing.T) {
	f := newFakes(t)
	for range 2 { // the second is a duplicate
		a := f.send(t.Context(), secret, strings.NewReader("d1 nothing"))
		text, err := json.Marshal(a.delivery)
		if err != nil || !strings.Contains(string(text), `"updates":[]`) {
			t.Errorf("answered %s, %v", text, err)
		}
	}
}

// The same delivery again is answered with what the first became, whatever that
// was, and nothing new comes of it: 200 with the delivery, or the same refusal.
func TestHandleDuplicates(t *testing.T) {
	for _, kind := range []string{"order", "wrong order", "nothing"} {
		t.Run(kind, func(t *testing.T) {
			f := newFakes(t)
			f.send(t.Context(), secret, strings.NewReader("d1 "+kind))
			first := f.stored[gitops.DeliveryKey{Source: source, ID: "d1"}]
			for _, again := range []string{kind, "order"} { // the second has another body under the same id
				a := f.send(t.Context(), secret, strings.NewReader("d1 "+again))
				refused := gitops.CodeOf(a.err) == gitops.Rejected && gitops.PublicOf(a.err) == first.Field+": "+first.Reason
				if (a.err == nil) == (kind == "wrong order") || a.err != nil && !refused || a.status != 200 || !cmp.Equal(a.outcomes, []string{"duplicate"}) {
					t.Errorf("answered %d, %v, counted %v", a.status, a.err, a.outcomes)
				}
				if diff := cmp.Diff(first, a.delivery, cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("the answer is not the first:\n%s", diff)
				}
			}
			if diff := cmp.Diff(first, f.stored[first.Key()]); diff != "" || len(f.stored) != 1 {
				t.Errorf("the store has changed:\n%s", diff)
			}
		})
	}
}

// An update that comes after a newer one has ended before any lane sees it, and
// is counted once, where it ended.
func TestHandleLateUpdates(t *testing.T) {
	f := newFakes(t)
	f.late = "prod"
	for i, want := range [][]string{{"accepted", "prod superseded"}, {"duplicate"}} {
		a := f.send(t.Context(), secret, strings.NewReader("d1 order"))
		if a.err != nil || !cmp.Equal(a.outcomes, want) {
			t.Errorf("answered %v, counted %v, want %v", a.err, a.outcomes, want)
		}
		said := slices.ContainsFunc(a.log, func(line map[string]any) bool { return line["msg"] == "update superseded" })
		if said != (i == 0) {
			t.Errorf("the log of time %d is %s", i, a.logText)
		}
	}
}

func TestHandleManyAtOnce(t *testing.T) {
	f := newFakes(t)
	h := f.handler()
	outcomes := make(chan int, 50)
	var all sync.WaitGroup
	for range cap(outcomes) {
		all.Go(func() {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/webhooks/github", strings.NewReader("d1 order"))
			r.Header.Set("Secret", secret)
			status, d, err := h.Handle(httptest.NewRecorder(), r)
			if err != nil || len(d.Updates) != 2 {
				t.Errorf("answered %+v, %v", d, err)
			}
			outcomes <- status
		})
	}
	all.Wait()
	close(outcomes)
	counts := map[int]int{}
	for status := range outcomes {
		counts[status]++
	}
	if counts[202] != 1 || counts[200] != 49 {
		t.Errorf("answered %v, want one 202 and 49 times 200", counts)
	}
}

// Whatever a delivery is, it is not answered before it is stored: the sender is
// told to come again, and then gets the answer it would have got.
func TestHandleStoreFails(t *testing.T) {
	away := gitops.Errorf(gitops.Unavailable, "the store's disk is full").WithCause(errors.New("SQLITE_FULL"))
	for _, kind := range []string{"order", "wrong order", "nothing"} {
		for _, applied := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, applied %t", kind, applied), func(t *testing.T) {
				f := newFakes(t)
				f.faults = []fault{{err: away, applied: applied}}
				a := f.send(t.Context(), secret, strings.NewReader("d1 "+kind))
				if gitops.CodeOf(a.err) != gitops.Unavailable || !cmp.Equal(a.outcomes, []string{"error"}) {
					t.Errorf("answered %v, counted %v", a.err, a.outcomes)
				}
				a = f.send(t.Context(), secret, strings.NewReader("d1 "+kind))
				switch want := map[string]string{"order": "accepted", "wrong order": "rejected", "nothing": "ignored"}[kind]; {
				case applied && ((a.err != nil) != (kind == "wrong order") || !cmp.Equal(a.outcomes, []string{"duplicate"})):
					t.Errorf("sent again: %v, counted %v", a.err, a.outcomes)
				case !applied && !cmp.Equal(a.outcomes, []string{want}):
					t.Errorf("sent again: %v, counted %v", a.err, a.outcomes)
				}
			})
		}
	}
}

// EventBridge hangs up after 5 s and would call that a failure without words.
func TestHandleSlowStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakes(t)
		f.faults = []fault{{wait: make(chan struct{})}}
		began := time.Now()
		a := f.send(t.Context(), secret, strings.NewReader("d1 order"))
		if took := time.Since(began); took <= 0 || took >= 5*time.Second {
			t.Errorf("the answer took %s", took)
		}
		if gitops.CodeOf(a.err) != gitops.Unavailable || len(f.stored) != 0 {
			t.Errorf("answered %v, stored %v", a.err, f.stored)
		}
	})
}

func TestHandleSenderHangsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakes(t)
		f.faults = []fault{{wait: make(chan struct{})}}
		ctx, hangUp := context.WithCancel(t.Context())
		go func() {
			synctest.Wait()
			hangUp()
		}()
		began := time.Now()
		if a := f.send(ctx, secret, strings.NewReader("d1 order")); gitops.CodeOf(a.err) != gitops.Unavailable || time.Since(began) != 0 {
			t.Errorf("after %s: %v", time.Since(began), a.err)
		}
	})
}

// One line for each request says what became of it. Of a sender that did not
// prove itself it has nothing but the address.
func TestHandleLogs(t *testing.T) {
	for _, c := range []struct {
		name, credential, body string
		want                   map[string]any
	}{
		{"an order", secret, "d1 order", map[string]any{
			"level": "INFO", "msg": "delivery accepted", "outcome": "accepted", "delivery": "github/d1", "actor": "github:ann", "updates": []any{"d1/dev", "d1/prod"}, "remote": "192.0.2.1", "credential": "test secret"}},
		{"nothing", secret, "d1 nothing", map[string]any{
			"level": "INFO", "msg": "delivery ignored", "outcome": "ignored", "delivery": "github/d1", "actor": "github:ann", "reason": "a test asks for nothing", "remote": "192.0.2.1", "credential": "test secret"}},
		{"an order that cannot be", secret, "d1 wrong order", map[string]any{
			"level": "WARN", "msg": "delivery rejected", "outcome": "rejected", "delivery": "github/d1", "actor": "github:ann", "reason": "is missing", "remote": "192.0.2.1", "credential": "test secret",
			"code": "rejected", "error": "client_payload.tag: is missing", "field": "client_payload.tag"}},
		{"a body of no known form", secret, "d1 gibberish", map[string]any{
			"level": "WARN", "msg": "delivery failed", "outcome": "error", "delivery": "github/d1", "remote": "192.0.2.1", "code": "invalid", "error": `not ours: unknown kind "gibberish"`}},
		{"an unknown sender", "guessed-credential", "d1 order", map[string]any{
			"level": "WARN", "msg": "delivery unauthorized", "outcome": "unauthorized", "remote": "192.0.2.1", "code": "unauthorized", "error": "who are you?"}},
		{"too large", secret, strings.Repeat("d1 order", webhook.MaxBody/8+1), map[string]any{
			"level": "WARN", "msg": "delivery failed", "outcome": "error", "remote": "192.0.2.1", "code": "too_large", "error": "the body is larger than 1048576 bytes"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newFakes(t).send(t.Context(), c.credential, strings.NewReader(c.body))
			c.want["source"] = source
			timeless := cmpopts.IgnoreMapEntries(func(key string, _ any) bool { return key == "time" })
			if diff := cmp.Diff([]map[string]any{c.want}, a.log, timeless); diff != "" {
				t.Error(diff)
			}
			if strings.Contains(a.logText, secret) || strings.Contains(a.logText, "guessed-credential") {
				t.Errorf("a credential is in the log: %s", a.logText)
			}
		})
	}
}

// What the sweep fetched is stored as that.
func TestAcceptRecovered(t *testing.T) {
	f := newFakes(t)
	f.recovered = true
	event, err := f.Decode(nil, []byte("d1 order"))
	if err != nil {
		t.Fatal(err)
	}
	_, accepted, err := f.handler().Intake.Accept(t.Context(), webhook.Inbound{Event: event, Body: []byte("d1 order"), Recovered: true})
	if err != nil || !accepted {
		t.Errorf("accepted %t, %v", accepted, err)
	}
}

func TestOutcomesAreClosed(t *testing.T) {
	if diff := cmp.Diff([]string{"accepted", "duplicate", "ignored", "rejected", "waiting", "unauthorized", "error"}, webhook.Outcomes()); diff != "" {
		t.Error(diff)
	}
}
