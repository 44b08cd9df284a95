// Package webhook takes deliveries in over HTTP. A [Receiver] knows one sender's
// envelope and credential; the one [Handler] does the rest, the same for all:
//
//	cap the body -> authenticate -> decode -> plan -> make durable -> answer
//
// Nothing of a body is parsed, logged or kept before it is authenticated. What
// is answered 202 survives kill -9 and power loss. A crash before the answer
// leaves either nothing, and the sender sends again, or a stored delivery, and
// the sender that sends again gets the first answer.
package webhook

import (
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// MaxBody is the largest body taken, in bytes. A repository_dispatch is tens of
// kilobytes and an ECR event less than one.
const MaxBody = 1 << 20

// answerWithin bounds the wait for the store: EventBridge hangs up after 5 s and
// GitHub after 10 s, and a clear 503 before that tells them to come again.
const answerWithin = 4 * time.Second

// Receiver knows one kind of sender. Safe for concurrent use; it keeps nothing
// of header or body.
type Receiver interface {
	// Source names the sender in delivery keys and metrics: a constant.
	Source() string

	// Credential names, for people, what Authenticate looks at: a constant.
	Credential() string

	// Authenticate checks the sender's credential, in constant time, over the raw
	// body. The error's code is Unauthorized, and its sentence does not tell a
	// wrong credential from a missing one more than its sender needs to fix it.
	Authenticate(header http.Header, body []byte) error

	// Decode reads an authenticated body. An error's code is Invalid and means
	// that the body is not what this sender sends; the event then has its delivery
	// key, if that much could be read. An event that asks for nothing or for
	// something impossible is an event, not an error.
	Decode(header http.Header, body []byte) (gitops.Event, error)
}

// Handler is the one way in for deliveries over HTTP.
type Handler struct {
	Receiver Receiver
	Intake   *Intake
}

// Handle takes one delivery in and says how to answer it: 202 with the delivery
// when it became updates or waits, 200 with it when it asks for nothing or is known. The
// error of anything else is for the server's error writer; nothing is written to
// w.
func (h *Handler) Handle(w http.ResponseWriter, r *http.Request) (status int, d gitops.Delivery, err error) {
	in, err := h.receive(w, r)
	if err != nil {
		key := in.Event.Delivery
		h.Intake.RecordRejection(r.Context(), key, in.Remote, err)
		return http.StatusOK, gitops.Delivery{Source: key.Source, ID: key.ID}, err
	}
	d, accepted, err := h.Intake.Accept(r.Context(), in)
	if accepted || err == nil && d.Outcome == gitops.OutcomeWaiting {
		return http.StatusAccepted, d, err
	}
	return http.StatusOK, d, err
}

// receive reads, authenticates and decodes. With an error the inbound event
// has whatever was known of it by then.
func (h *Handler) receive(w http.ResponseWriter, r *http.Request) (Inbound, error) {
	in := Inbound{Remote: ClientIP(r.RemoteAddr), Credential: h.Receiver.Credential()}
	in.Event.Delivery.Source = h.Receiver.Source()
	body, err := ReadBody(w, r, MaxBody)
	if err != nil {
		return in, err
	}
	if err := h.Receiver.Authenticate(r.Header, body); err != nil {
		return in, err
	}
	in.Body = body
	event, err := h.Receiver.Decode(r.Header, body)
	if err != nil {
		in.Event.Delivery.ID = event.Delivery.ID
		return in, err
	}
	in.Event = event
	return in, nil
}

// usualBody is more than most bodies have. So much is set aside for one at most
// before it comes: a header that announces more must not hold memory.
const usualBody = 16 << 10

// ReadBody reads a request's body up to a number of bytes. The error's code is
// TooLarge or Invalid, or the body's own.
func ReadBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	// Before the first byte is read: a sender that expects 100 Continue then sends none.
	if r.ContentLength > limit {
		return nil, gitops.Errorf(gitops.TooLarge, "the body is larger than %d bytes", limit)
	}
	body, err := readGrowing(http.MaxBytesReader(w, r.Body, limit), r.ContentLength)
	var tooLarge *http.MaxBytesError
	var known *gitops.Error
	switch {
	case errors.As(err, &known):
		return nil, known
	case errors.As(err, &tooLarge):
		return nil, gitops.Errorf(gitops.TooLarge, "the body is larger than %d bytes", limit)
	case err != nil:
		return nil, gitops.Errorf(gitops.Invalid, "the body is incomplete").WithCause(err)
	}
	return body, nil
}

// readGrowing reads to the end. Its buffer never has more than twice what has been
// read, but for the usual size, so that whoever counts what comes knows what it takes;
// and it grows only when there is a byte for which there is no room.
func readGrowing(from io.Reader, announced int64) ([]byte, error) {
	body := make([]byte, 0, min(max(0, announced), usualBody)+1) // with room to find the end in
	for {
		if len(body) == cap(body) {
			size := 2 * cap(body)
			if announced >= 0 {
				size = max(len(body), min(size, int(announced))) + 1
			}
			body = append(make([]byte, 0, size), body...)
		}
		n, err := from.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if err == io.EOF {
			return body, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// ClientIP is the address that a request came from, without its port, which
// nothing is looked up by.
func ClientIP(remoteAddr string) string {
	host, _, err := net.SplitHostPort(remoteAddr)
	if err != nil {
		return remoteAddr
	}
	return host
}
