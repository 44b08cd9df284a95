package webhook_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

const (
	source = "github"
	secret = "s3cret-of-the-webhook"
)

// fakes is everything around a handler. It writes down what is done in which
// order, and fails the test when a part is used in a way its contract forbids.
type fakes struct {
	t *testing.T

	mu        sync.Mutex
	steps     []string
	outcomes  []string
	stored    map[gitops.DeliveryKey]gitops.Delivery
	faults    []fault      // the next calls of Accept go so
	recovered bool         // every delivery was fetched
	late      string       // in this environment every update comes after a newer one
	forbidden string       // in this environment nobody may order
	right     gitops.Right // that is asked for; "" is to order
	allowed   int          // questions of Authorize that were answered with a rule
	logged    bytes.Buffer
	refused   []gitops.AuditEntry
}

// fault is what happens to a call of Accept in place of its success.
type fault struct {
	err     error
	applied bool          // it was stored all the same
	wait    chan struct{} // first the call lasts until this is closed or its context ends
}

func newFakes(t *testing.T) *fakes {
	return &fakes{t: t, stored: map[gitops.DeliveryKey]gitops.Delivery{}}
}

func (f *fakes) step(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.steps = append(f.steps, name)
}

// ann sends everything.
var ann = gitops.Principal{Dispatch: &gitops.DispatchSender{RepositoryID: 17, Sender: "ann", SenderID: 3}}

// Source and the next two are a receiver's. A body is the delivery's id and what
// the event shall be; the credential is the header Secret.
func (f *fakes) Source() string { return source }

func (f *fakes) Credential() string { return "test secret" }

func (f *fakes) Authenticate(header http.Header, _ []byte) error {
	f.step("authenticate")
	if header.Get("Secret") != secret {
		return gitops.Errorf(gitops.Unauthorized, "who are you?")
	}
	return nil
}

func (f *fakes) Decode(_ http.Header, body []byte) (gitops.Event, error) {
	f.step("decode")
	id, kind, _ := strings.Cut(strings.TrimRight(string(body), " "), " ")
	e := gitops.Event{Delivery: gitops.DeliveryKey{Source: source, ID: id}, Principal: ann}
	switch kind {
	case "order":
		e.Orders = []gitops.Order{{App: "api", Environment: "dev", Tag: kind}, {App: "api", Environment: "prod", Tag: kind}}
	case "wrong order":
		e.Orders = []gitops.Order{{App: "api", Environment: "dev", Tag: kind}}
	case "push":
		e.Principal, e.Push = gitops.Principal{Push: &gitops.PushSource{Source: "eventbridge"}}, &gitops.ImagePush{Tag: kind}
	case "job's order":
		e.Principal, e.Orders = gitops.Principal{Job: &gitops.Job{RepositoryID: "17"}}, []gitops.Order{{App: "api", Environment: "dev", Tag: "order"}}
	case "nothing":
		e.IgnoreReason = "a test asks for nothing"
	default:
		return e, gitops.Errorf(gitops.Invalid, "not ours").WithCause(fmt.Errorf("unknown kind %q", kind))
	}
	return e, nil
}

// Authorize is an authorizer's.
func (f *fakes) Authorize(p gitops.Principal, right gitops.Right, app, environment string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if right != cmp.Or(f.right, gitops.RightOrder) || p.Kind() == "" {
		f.t.Errorf("%q is asked for %+v", right, p)
	}
	if f.forbidden == "*" || environment == f.forbidden {
		return "", gitops.Errorf(gitops.Forbidden, "nobody may order %s in %s", app, environment)
	}
	f.allowed++
	return "access[7]", nil
}

// Plan is a planner's.
func (f *fakes) Plan(e gitops.Event) (gitops.Delivery, error) {
	f.step("plan")
	d := gitops.Delivery{Source: e.Delivery.Source, ID: e.Delivery.ID, Actor: e.Principal.Actor(), Principal: e.Principal.ID(), EventTime: e.Time}
	switch {
	case e.Violation != nil:
		d.Outcome, d.Field, d.Reason = gitops.OutcomeRejected, e.Violation.Field, e.Violation.Message
		return d, e.Violation
	case e.Push != nil:
		d.Outcome, d.Reason = gitops.OutcomeAccepted, "staging: not this tag"
		d.Updates = []gitops.Update{{Environment: "dev", App: "api"}, {Environment: "prod", App: "api"}, {Environment: "prod", App: "web"}}
	case e.Orders == nil:
		d.Outcome, d.Reason = gitops.OutcomeIgnored, e.IgnoreReason
	case e.Orders[0].Tag == "order":
		d.Outcome = gitops.OutcomeAccepted
		for _, o := range e.Orders {
			d.Updates = append(d.Updates, gitops.Update{Environment: o.Environment, App: o.App, Tag: "t"})
		}
	default:
		d.Outcome, d.Field, d.Reason = gitops.OutcomeRejected, "client_payload.tag", "is missing"
		return d, &gitops.Error{Code: gitops.Rejected, Field: d.Field, Message: d.Reason}
	}
	return d, nil
}

// ExistingIDs is an inbox's.
func (f *fakes) ExistingIDs(_ context.Context, source string, ids []string) (existing []string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		if _, known := f.stored[gitops.DeliveryKey{Source: source, ID: id}]; known {
			existing = append(existing, id)
		}
	}
	return existing, nil
}

// Accept is an inbox's.
func (f *fakes) Accept(ctx context.Context, d gitops.Delivery) (gitops.Delivery, bool, error) {
	f.step("accept")
	f.mu.Lock()
	defer f.mu.Unlock()
	f.checkDelivery(ctx, d)
	var now fault
	if len(f.faults) > 0 {
		now, f.faults = f.faults[0], f.faults[1:]
	}
	if now.wait != nil {
		f.mu.Unlock()
		select {
		case <-now.wait:
		case <-ctx.Done():
			now.err = gitops.Errorf(gitops.Unavailable, "the store did not come to it in time").WithCause(ctx.Err())
		}
		f.mu.Lock()
	}
	if now.err != nil && !now.applied {
		return gitops.Delivery{}, false, now.err
	}
	first, known := f.stored[d.Key()]
	if !known {
		for i := range d.Updates {
			d.Updates[i].ID = d.ID + "/" + d.Updates[i].Environment
			d.Updates[i].State, d.Updates[i].AcceptedAt = gitops.Pending, d.ReceivedAt
			if f.late == d.Updates[i].Environment {
				d.Updates[i].State = gitops.Superseded
			}
		}
		first, f.stored[d.Key()] = d, d
	}
	if now.err != nil {
		return gitops.Delivery{}, false, now.err
	}
	return first, known, nil
}

// checkDelivery holds a delivery to what queue.Inbox asks for.
func (f *fakes) checkDelivery(ctx context.Context, d gitops.Delivery) {
	if _, bounded := ctx.Deadline(); !bounded {
		f.t.Error("the store may take for ever")
	}
	if d.Source != source || d.ID == "" || d.ReceivedAt.IsZero() || d.ReceivedAt.Location() != time.UTC || !strings.HasPrefix(string(d.Body), d.ID) {
		f.t.Errorf("the store is given an incomplete delivery: %+v", d)
	}
	if d.Recovered != f.recovered {
		f.t.Errorf("recovered is %t", d.Recovered)
	}
	if (d.Outcome == gitops.OutcomeAccepted) != (len(d.Updates) > 0) || d.Outcome != gitops.OutcomeAccepted && d.Reason == "" {
		f.t.Errorf("the outcome %q goes with neither the reason %q nor the updates %v", d.Outcome, d.Reason, d.Updates)
	}
}

// Delivery is a recorder's.
func (f *fakes) Delivery(from, outcome string) {
	if from != source {
		f.t.Errorf("counted for the source %q", from)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.outcomes = append(f.outcomes, outcome)
}

// Finished is a recorder's.
func (f *fakes) Finished(environment string, state gitops.State, seconds float64) {
	if seconds != 0 {
		f.t.Errorf("finished after %v s", seconds)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.outcomes = append(f.outcomes, environment+" "+string(state))
}

// NotKept is a recorder's.
func (f *fakes) NotKept(_, reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.outcomes = append(f.outcomes, "not kept: "+reason)
}

// Write takes the log, one line at a time, as slog's handlers write it.
func (f *fakes) Write(line []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.logged.Write(line)
}

func (f *fakes) handler() *webhook.Handler {
	return &webhook.Handler{Receiver: f, Intake: &webhook.Intake{
		Planner: f, Authorizer: f, Inbox: f, Recorder: f,
		Logger: slog.New(slog.NewJSONHandler(f, nil)),
		Now:    func() time.Time { return time.Now().In(time.FixedZone("elsewhere", 3600)) },
		Refused: func(e gitops.AuditEntry) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.refused = append(f.refused, e)
		},
	}}
}

// answer is what a handler said to one request, and what it did.
type answer struct {
	status   int
	delivery gitops.Delivery
	err      error
	steps    []string
	outcomes []string
	log      []map[string]any
	logText  string
}

// send has the handler handle one request.
func (f *fakes) send(ctx context.Context, credential string, body io.Reader) answer {
	f.t.Helper()
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/webhooks/github", &watchedBody{f: f, from: body})
	r.Header.Set("Secret", credential)
	status, d, err := f.handler().Handle(httptest.NewRecorder(), r)
	f.mu.Lock()
	defer f.mu.Unlock()
	a := answer{status: status, delivery: d, err: err, steps: f.steps, outcomes: f.outcomes, logText: f.logged.String()}
	for line := range strings.Lines(a.logText) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			f.t.Errorf("the log has the line %q: %v", line, err)
		}
		a.log = append(a.log, fields)
	}
	f.steps, f.outcomes = nil, nil
	f.logged.Reset()
	return a
}

// watchedBody notes when it is first read.
type watchedBody struct {
	f    *fakes
	from io.Reader
	read bool
}

func (b *watchedBody) Read(p []byte) (int, error) {
	if !b.read {
		b.read = true
		b.f.step("read")
	}
	return b.from.Read(p)
}
