package limits

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

func TestLimitsRefuse(t *testing.T) {
	for _, text := range []string{"10.0.0.0", "load-balancer", "10.0.0.0/33", ""} {
		_, err := New(Config{TrustedProxies: []string{"10.0.0.0/8", text}})
		if gitops.CodeOf(err) != gitops.Invalid || !strings.HasPrefix(err.Error(), "trustedProxies[1]: must be a range") {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, wide := range []string{"0.0.0.0/0", "::/0", "128.0.0.0/1", "10.0.0.0/7", "2000::/3", "fc00::/6", "::ffff:0:0/96", "::ffff:10.0.0.0/104"} {
		_, err := New(Config{TrustedProxies: []string{wide}})
		if want := "trustedProxies[0]: is " + wide; gitops.CodeOf(err) != gitops.Invalid || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v", wide, err)
		}
	}
	if _, err := New(Config{TrustedProxies: []string{"10.0.0.0/8", "fc00::/7", "10.0.0.7/32"}}); err != nil {
		t.Error(err)
	}
}

// Bodies share their room, and one address gets a part of it.
func TestBodiesAreBounded(t *testing.T) {
	b := newBodyBudget(160_000, func(client string) bool { return client == "192.0.2.9" })
	hold, held := make(chan struct{}), make(chan error)
	handler := b.limit(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := webhook.ReadBody(w, r, 1<<20)
		held <- err
		<-hold
	}))
	var all sync.WaitGroup
	send := func(remote string, size int) error {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(strings.Repeat("x", size)))
		r.RemoteAddr = remote
		all.Go(func() { handler.ServeHTTP(httptest.NewRecorder(), r) })
		return <-held
	}
	for i, c := range []struct {
		remote string
		size   int
		code   gitops.Code
	}{
		{"192.0.2.1:1", 25_000, ""},                 // 33,616 beside the first 16 KiB
		{"192.0.2.1:2", 25_000, gitops.Unavailable}, // more than a quarter
		{"192.0.2.1:3", freeBody, ""},               // small ones always
		{"192.0.2.2:1", 25_000, ""},
		{"192.0.2.3:1", 25_000, ""},
		{"192.0.2.4:1", 20_000, gitops.Unavailable}, // more than there is for those who are not known
		{"192.0.2.9:1", 25_000, ""},                 // who is has the rest
		{"192.0.2.4:1", 10, ""},
	} {
		if err := send(c.remote, c.size); c.code == "" && err != nil || c.code != "" && gitops.CodeOf(err) != c.code {
			t.Errorf("%d: %v", i, err)
		}
	}
	close(hold)
	all.Wait()
	if b.held != 0 || len(b.holds) != 0 {
		t.Errorf("%d are still held: %v", b.held, b.holds)
	}
}
