package limits

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
)

// A client with a valid credential becomes known, and no other does.
func TestWhoBecomesKnown(t *testing.T) {
	s := serve(t, Config{})
	anybody := &Credential{Verify: func(context.Context, http.Header, []byte) error { return nil }}
	for _, c := range []struct {
		remote     string
		credential *Credential
		status     int
		known      bool
	}{
		{"192.0.2.1:1", anybody, http.StatusAccepted, true},
		{"192.0.2.2:1", anybody, http.StatusUnauthorized, false},
		{"192.0.2.3:1", anybody, http.StatusServiceUnavailable, false},
		{"192.0.2.4:1", nil, http.StatusOK, false}, // where nobody has a credential
		{"[2001:db8::1]:1", anybody, http.StatusOK, true},
	} {
		guarded := s.limits.Guard("/", c.credential, &counts{}, nil)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(c.status) }))
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.RemoteAddr = c.remote
		guarded.ServeHTTP(httptest.NewRecorder(), r)
		if got := s.limits.known.has(clientKey(r)); got != c.known {
			t.Errorf("%s with %d is known: %t", c.remote, c.status, got)
		}
	}
}

// Connections without a request are refusals of their address, but no valid sender from
// there waits for them; those of a trusted proxy are nobody's.
func TestConnectionsWithoutARequestAreRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		config  Config
		refused bool
	}{
		"a client": {Config{}, true},
		"a proxy":  {Config{TrustedProxies: []string{"127.0.0.0/8"}}, false},
	} {
		s := serve(t, c.config)
		s.limits.refusals.most = 3
		for n := range 3 {
			conn := s.dial()
			s.watch.await("opened", n+1)
			if err := conn.Close(); err != nil {
				t.Fatal(err)
			}
			s.watch.await("closed", n+1)
			s.watch.await("without request to listen", n+1)
		}
		if got := s.limits.refusals.over(refusalKey{"127.0.0.1", "none"}); got != c.refused {
			t.Errorf("%s is over the limit: %t", name, got)
		}
		if s.limits.refusals.over(refusalKey{"127.0.0.1", "/webhooks/github"}) {
			t.Errorf("%s is over the limit for deliveries", name)
		}
	}
}
