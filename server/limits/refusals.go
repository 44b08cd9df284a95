package limits

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"runtime"
	"time"

	"github.com/go-chi/chi/v5/middleware"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// refusedAgain is how long a client that was refused too often is asked to wait.
const refusedAgain = 10 * time.Second

// Credential checks a route's credential before anything else is done for a request,
// with as little work as that takes. The route checks it again.
type Credential struct {
	// Body is the largest body over which the credential is checked, in bytes, where it
	// is made of the body; 0 where it is in the header.
	Body int64

	// Prepare gets from the network what Verify needs, unless it is here already: a
	// certificate, or the keys of an issuer. It is nil where nothing is needed. Its error
	// is Unavailable when it cannot be had now.
	Prepare func(ctx context.Context, header http.Header, body []byte) error

	// Verify returns why the credential is not valid. It does not use the network.
	Verify func(ctx context.Context, header http.Header, body []byte) error
}

// Recorder counts requests of clients that were refused too often. Safe for
// concurrent use.
type Recorder interface {
	// OverLimit counts one more: to which route, from where, and whether its credential was
	// valid.
	OverLimit(route, remote string, valid bool)
}

// verifiers is how many credentials are verified at the same moment of clients that
// were refused too often: half of the processors, so that the others have room beside
// them. One takes 0.1 ms or so, and whoever waits for that has its place in a queue, so
// that forged credentials delay a valid one and never keep it out. What waits is
// bounded by the connections, and its bodies are bodies like all others: at most
// [Credential.Body] each, the first 16 KiB of them uncounted and the rest in the
// budget that [Limits.Bodies] keeps.
func verifiers() int { return max(2, runtime.GOMAXPROCS(0)/2) }

// Guard bounds the work for requests to a route that are refused. A client that was
// refused there too often is answered 429, before anything else is done for its request,
// unless the credential is valid: senders share the addresses of GitHub, of AWS and of a
// proxy with everybody else who sends from there, and must not be refused for what
// others send. A nil credential is that of a route where nobody has one.
//
// Requests with a valid credential are not counted, so a burst of deliveries is not
// limited.
func (l *Limits) Guard(route string, credential *Credential, recorder Recorder, writeProblem func(http.ResponseWriter, error)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return &guard{l, route, credential, recorder, writeProblem, next}
	}
}

type guard struct {
	*Limits
	route        string
	credential   *Credential
	recorder     Recorder
	writeProblem func(http.ResponseWriter, error)
	next         http.Handler
}

func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	from := refusalKey{clientNetwork(r), g.route}
	body := r.Body // verify puts another in its place
	if g.refusals.over(from) {
		err := g.verify(w, r)
		g.recorder.OverLimit(g.route, webhook.ClientIP(r.RemoteAddr), err == nil)
		if err != nil {
			g.refuse(w, err)
			return
		}
	}
	if g.credential == nil {
		w.Header().Set("Connection", "close") // no sender has a use for it
	}
	ww, ok := w.(middleware.WrapResponseWriter)
	if !ok {
		ww = middleware.NewWrapResponseWriter(w, r.ProtoMajor)
	}
	g.next.ServeHTTP(ww, r)
	switch {
	case isRefusal(g.credential, body, ww.Status()):
		g.refusals.count(from)
	case g.credential != nil && ww.Status()/100 == 2: // so it was authenticated
		g.known.note(clientKey(r))
	}
}

// countRefusal counts a connection that ended without a request, at the route that is
// nobody's: a client with a credential is not refused for it.
func (l *Limits) countRefusal(of client) {
	l.refusals.count(refusalKey{network(of.address, 48), "none"})
}

// verify checks the credential of a client that was refused too often.
func (g *guard) verify(w http.ResponseWriter, r *http.Request) error {
	c := g.credential
	if c == nil {
		return gitops.Errorf(gitops.Unauthorized, "there is no credential here")
	}
	var body []byte
	if c.Body > 0 {
		read, err := webhook.ReadBody(w, r, c.Body)
		if err != nil {
			return err
		}
		body, r.Body = read, io.NopCloser(bytes.NewReader(read))
	}
	if c.Prepare != nil {
		if err := c.Prepare(r.Context(), r.Header, body); err != nil {
			return err
		}
	}
	select {
	case g.verifiers <- struct{}{}:
		defer func() { <-g.verifiers }()
	case <-r.Context().Done():
		return gitops.Errorf(gitops.Unavailable, "the client is gone").WithCause(r.Context().Err())
	}
	return c.Verify(r.Context(), r.Header, body)
}

// refuse answers a client that was refused too often. A credential that could not be
// checked now is not one that is not valid.
func (g *guard) refuse(w http.ResponseWriter, why error) {
	if gitops.CodeOf(why) != gitops.Unavailable {
		e := gitops.Errorf(gitops.RateLimited, "too many requests from this address were refused, and this one has no valid credential")
		e.RetryAfter = refusedAgain
		why = e.WithCause(why)
	}
	g.writeProblem(w, why)
}

// isRefusal reports whether an answer is one that an authenticated client gets by
// mistake at most.
func isRefusal(credential *Credential, body io.ReadCloser, status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge:
		return true
	case http.StatusBadRequest: // of an incomplete body, which is mostly not authenticated by then
		counted, ok := body.(*countedBody)
		return ok && counted.broken
	case http.StatusNotFound: // not of a thing that the API was asked for
		return credential == nil
	}
	return false
}
