package server

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres/postgrestest"
)

// contract is docs/openapi.yaml, read once. It lets answers get more fields; here it
// lets them have none that it does not name.
var contract = sync.OnceValues(func() (*openapi3.T, error) {
	openapi3filter.RegisterBodyDecoder("text/event-stream", func(body io.Reader, _ http.Header, _ *openapi3.SchemaRef, _ openapi3filter.EncodingFn) (any, error) {
		text, err := io.ReadAll(body)
		return string(text), err
	})
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromFile("../docs/openapi.yaml")
	if err != nil {
		return nil, err
	}
	if err := doc.Validate(loader.Context); err != nil {
		return nil, err
	}
	doc.Servers = nil // any address will do
	for _, schema := range doc.Components.Schemas {
		closeSchema(schema)
	}
	return doc, nil
})

// closeSchema lets an object, and each object in it, have no more fields than those
// that it names. References are closed where they lead.
func closeSchema(s *openapi3.SchemaRef) {
	if s == nil || s.Ref != "" {
		return
	}
	if len(s.Value.Properties) > 0 {
		more := false
		s.Value.AdditionalProperties.Has = &more
	}
	for _, property := range s.Value.Properties {
		closeSchema(property)
	}
	closeSchema(s.Value.Items)
}

func contractRouter(t testing.TB) routers.Router {
	t.Helper()
	doc, err := contract()
	if err != nil {
		t.Fatal(err)
	}
	router, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return router
}

// call sends the API a request, and holds the answer to the contract, and the request
// where it was accepted.
func (r *running) call(token, method, path, body string) response {
	r.t.Helper()
	return r.callWith(token, method, path, body, nil)
}

func (r *running) callWith(token, method, path, body string, header http.Header) response {
	r.t.Helper()
	req := r.request(method, path, body)
	for name, values := range header {
		req.Header[name] = values
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	answer := r.do(req)
	r.hold(req, body, answer)
	return answer
}

func (r *running) hold(req *http.Request, body string, answer response) {
	r.t.Helper()
	route, params, err := contractRouter(r.t).FindRoute(req)
	if err != nil {
		r.t.Fatalf("%s %s is not in the contract: %v", req.Method, req.URL.Path, err)
	}
	req.Body = io.NopCloser(strings.NewReader(body))
	input := &openapi3filter.RequestValidationInput{
		Request: req, PathParams: params, Route: route,
		Options: &openapi3filter.Options{IncludeResponseStatus: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	}
	if err := openapi3filter.ValidateRequest(r.t.Context(), input); err != nil && answer.StatusCode/100 == 2 {
		r.t.Errorf("%s %s was answered %s and is against the contract: %v", req.Method, req.URL, answer.Status, err)
	}
	err = openapi3filter.ValidateResponse(r.t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: answer.StatusCode, Header: answer.Header,
		Body: io.NopCloser(bytes.NewBufferString(answer.body)), Options: input.Options,
	})
	if err != nil {
		r.t.Errorf("the answer to %s %s is against the contract: %v\n%s", req.Method, req.URL, err, answer.body)
	}
}

// read is a GET that must work, decoded.
func read[T any](r *running, path string) T {
	r.t.Helper()
	return readAs[T](r, apiToken, path)
}

// readAs is read for the holder of a token.
func readAs[T any](r *running, token, path string) (into T) {
	r.t.Helper()
	answer := r.call(token, "GET", path, "")
	if answer.StatusCode != 200 || json.Unmarshal([]byte(answer.body), &into) != nil {
		r.t.Fatalf("GET %s is answered %s %s", path, answer.Status, answer.body)
	}
	return into
}

// onEachStore runs a test on a site with either store.
func onEachStore(t *testing.T, test func(t *testing.T, s *site)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, newSite(t)) })
	t.Run("postgres", func(t *testing.T) {
		s := newSite(t)
		s.edit("sqlite://"+s.dir+"/tallyman.db", postgrestest.Start(t, "fsync=off").Schema(t))
		test(t, s)
	})
}

// settled waits until an update has ended, by the store's own signal.
func (r *running) settled(id string) gitops.Update {
	r.t.Helper()
	for {
		changed := r.store.Changed()
		u, err := r.store.Update(r.t.Context(), id)
		if err != nil {
			r.t.Fatal(err)
		}
		if u.State.Final() {
			return u
		}
		select {
		case <-changed:
		case <-r.t.Context().Done():
			r.t.Fatal("the test is over")
		}
	}
}

// changes waits until a change of an update is the one.
func (r *running) changes(isIt func(gitops.Update) bool) {
	r.t.Helper()
	after := ""
	for {
		changed := r.store.Changed()
		found, err := r.store.Changes(r.t.Context(), after, 100)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, c := range found {
			after = c.Cursor
			if c.Update != nil && isIt(*c.Update) {
				return
			}
		}
		select {
		case <-changed:
		case <-r.t.Context().Done():
			r.t.Fatal("the test is over")
		}
	}
}
