package registry_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/image"
	"github.com/tallyman-dev/tallyman/gitops/registry"
	"github.com/tallyman-dev/tallyman/gitops/registry/registrytest"
)

// sends is an answer of 200 with a body.
func sends(body []byte) registrytest.Answer {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler, _ <-chan struct{}) {
		w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
		_, _ = w.Write(body)
	}
}

// Whoever may push decides what a manifest has: a short text of very many values is refused before
// they are made of it, wherever it stands.
func TestAShortTextOfManyValuesIsNotParsed(t *testing.T) {
	many := func(begin, value, end string) []byte {
		return []byte(begin + strings.Repeat(value+",", (4<<20-len(begin)-len(end)-len(value))/(len(value)+1)) + value + end)
	}
	signed := image.Question{Tag: "v1", SignedBy: &image.Key{}}
	for name, c := range map[string]struct {
		fault registrytest.Fault
		ask   image.Question // without a tag the tags are listed
	}{
		"an index":        {registrytest.Fault{Kind: "manifests", Method: http.MethodGet, Answer: sends(many(`{"schemaVersion":2,"manifests":[`, "{}", "]}"))}, image.Question{Tag: "v1", Thorough: true, Platforms: true}},
		"a signature":     {registrytest.Fault{Kind: "manifests", Method: http.MethodGet, Answer: sends(many(`{"schemaVersion":2,"layers":[`, "{}", "]}"))}, signed},
		"referrers":       {registrytest.Fault{Kind: "referrers", Answer: sends(many(`{"schemaVersion":2,"manifests":[`, "{}", "]}"))}, signed},
		"a page of tags":  {registrytest.Fault{Kind: "tags", Answer: sends(many(`{"tags":[`, `"v1"`, "]}"))}, image.Question{}},
		"nothing of null": {registrytest.Fault{Kind: "referrers", Answer: sends(many(`{"schemaVersion":2,"manifests":[`, "null", "]}"))}, signed},
	} {
		s := registrytest.New(t)
		client := client(t, registry.Config{})
		one := s.Push("acme/api", "v1", registrytest.Image{})
		wantDigest(t, look(t, client, s.Host(), "v1"), one.Digest)
		s.Inject(c.fault)
		if c.ask.Platforms {
			s.Inject(registrytest.Fault{Method: http.MethodHead, Answer: registrytest.WithoutHeader("Docker-Content-Digest")})
		}
		c.ask.Repository = s.Host() + "/acme/api"
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var err error
		if c.ask.Tag == "" {
			err = client.Tags(t.Context(), c.ask.Repository, func([]string) error { return nil })
		} else {
			_, err = client.Look(t.Context(), c.ask)
		}
		runtime.ReadMemStats(&after)
		if gitops.CodeOf(err) != gitops.Unavailable || !strings.Contains(gitops.PublicOf(err), "values at once") {
			t.Errorf("%s: %v", name, err)
		}
		if took := (after.TotalAlloc - before.TotalAlloc) >> 20; took > 64 { // the fake's own copies included
			t.Errorf("%s took %d MiB", name, took)
		}
	}
}

// All that is read about one image has a bound, however many parts it comes in.
func TestAllThatIsReadAboutAnImageIsBounded(t *testing.T) {
	s := registrytest.New(t)
	s.Push("acme/api", "v1", registrytest.Image{})
	padded := append([]byte(`{"schemaVersion":2,"pad":"`), append(bytes.Repeat([]byte("x"), 3<<20), `"}`...)...)
	s.Inject(registrytest.Fault{Kind: "referrers", Answer: sends(padded)})
	s.Inject(registrytest.Fault{Kind: "manifests", Method: http.MethodGet, Answer: sends(padded)})
	_, err := client(t, registry.Config{}).Look(t.Context(), image.Question{Repository: s.Host() + "/acme/api", Tag: "v1", SignedBy: &image.Key{}})
	if gitops.CodeOf(err) != gitops.Unavailable || !strings.Contains(gitops.PublicOf(err), "more than 6 MiB about one image") {
		t.Error(err)
	}
}

// What is large is read for one question at a time, whichever registry sends it, and what is not
// does not wait for that.
func TestLargeAnswersAreReadInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rest := map[string]chan bool{"localhost:1": make(chan bool), "localhost:2": make(chan bool, 1)} // when the rest is sent
		rest["localhost:2"] <- true
		c := client(t, registry.Config{Dial: func(_ context.Context, _, address string) (net.Conn, error) {
			ours, theirs := net.Pipe() // what was written was read
			go serveLarge(theirs, rest[address])
			return ours, nil
		}})
		done := make(chan string, 3)
		ask := func(host, tag string) {
			_, err := c.Look(t.Context(), image.Question{Repository: host + "/acme/api", Tag: tag, Thorough: true})
			done <- fmt.Sprint(host, " ", tag, " ", err)
		}
		go ask("localhost:1", "large")
		synctest.Wait()
		go ask("localhost:2", "large")
		synctest.Wait()
		go ask("localhost:2", "small")
		synctest.Wait()
		if n := len(done); n != 1 || <-done != "localhost:2 small <nil>" {
			t.Fatalf("%d were answered", n)
		}
		rest["localhost:1"] <- true
		synctest.Wait()
		if n := len(done); n != 2 {
			t.Errorf("%d were answered", n)
		}
		for range len(done) {
			if got := <-done; !strings.HasSuffix(got, " large <nil>") {
				t.Error(got)
			}
		}
		c.Close()
	})
}

// serveLarge answers for a registry that does not know HEAD, with manifests of 1 MiB. Half of one is
// sent when it may be.
func serveLarge(conn net.Conn, rest chan bool) {
	defer conn.Close()
	for from := bufio.NewReader(conn); ; {
		request, err := http.ReadRequest(from)
		if err != nil {
			return
		}
		body := `{"schemaVersion":2}`
		if strings.HasSuffix(request.URL.Path, "large") {
			body = `{"schemaVersion":2,"pad":"` + strings.Repeat("x", 1<<20) + `"}`
		}
		if request.Method == http.MethodHead {
			fmt.Fprint(conn, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
			continue
		}
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body[:len(body)/2])
		if len(body) > 1<<20 {
			<-rest
		}
		fmt.Fprint(conn, body[len(body)/2:])
	}
}
