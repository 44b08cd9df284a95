package registry_test

import (
	"context"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/image"
	"github.com/tallyman-dev/tallyman/gitops/registry"
	"github.com/tallyman-dev/tallyman/gitops/registry/registrytest"
)

// client makes one that is closed with the test.
func client(t testing.TB, c registry.Config) *registry.Client {
	t.Helper()
	made := registry.New(c)
	t.Cleanup(made.Close)
	return made
}

// look asks for a tag of acme/api, and must be answered.
func look(t testing.TB, c *registry.Client, host, tag string) image.Answer {
	t.Helper()
	return ask(t, c, image.Question{Repository: host + "/acme/api", Tag: tag})
}

func ask(t testing.TB, c *registry.Client, q image.Question) image.Answer {
	t.Helper()
	answer, err := c.Look(t.Context(), q)
	if err != nil {
		t.Fatalf("looking for %s:%s: %v", q.Repository, q.Tag, err)
	}
	return answer
}

// wantDigest checks that an image is there, and what its tag names.
func wantDigest(t testing.TB, answer image.Answer, digest string) {
	t.Helper()
	if answer.Presence != image.Present || answer.Digest != digest {
		t.Errorf("the image is %s with digest %s, want present with %s", answer.Presence, answer.Digest, digest)
	}
}

// wantAbsent checks that an image is not there.
func wantAbsent(t testing.TB, answer image.Answer) {
	t.Helper()
	if answer.Presence != image.Absent || answer.Digest != "" {
		t.Errorf("the image is %s with digest %q, want absent", answer.Presence, answer.Digest)
	}
}

// recorder notes what is counted.
type recorder struct {
	mu  sync.Mutex
	all []counted
}

type counted struct{ Host, Operation, Code string }

func (r *recorder) Request(host, operation, code string, _ time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, counted{host, operation, code})
}

func (r *recorder) take() []counted {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.all
	r.all = nil
	return all
}

// twoPlatforms is an index as BuildKit pushes it.
var twoPlatforms = registrytest.Image{Platforms: []string{"linux/amd64", "linux/arm64/v8"}, Attestation: true, Content: "two"}

// A question that is asked while its client is closed, as when a reload replaces it, ends by its
// own, and leaves no connection behind.
func TestAClosedClientKeepsNoConnection(t *testing.T) {
	s := registrytest.New(t)
	one := s.Push("acme/api", "v1", registrytest.Image{Platforms: []string{"linux/amd64"}})
	asked, goesOn := make(chan bool), make(chan bool)
	s.Inject(registrytest.Fault{Method: http.MethodHead, Times: 1, Answer: func(w http.ResponseWriter, r *http.Request, registry http.Handler, _ <-chan struct{}) {
		asked <- true
		<-goesOn
		registry.ServeHTTP(w, r)
	}})
	var open sync.WaitGroup
	c := registry.New(registry.Config{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err == nil {
			open.Add(1)
			conn = &closing{Conn: conn, closed: sync.OnceFunc(open.Done)}
		}
		return conn, err
	}})
	answered := make(chan image.Answer, 1)
	go func() {
		answered <- ask(t, c, image.Question{Repository: s.Host() + "/acme/api", Tag: "v1", Platforms: true})
	}()
	<-asked
	c.Close()
	goesOn <- true
	wantDigest(t, <-answered, one.Digest)
	ended := make(chan bool)
	go func() {
		open.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("a connection is kept")
	}
}

// closing tells that it is closed.
type closing struct {
	net.Conn
	closed func()
}

func (c *closing) Close() error {
	c.closed()
	return c.Conn.Close()
}
