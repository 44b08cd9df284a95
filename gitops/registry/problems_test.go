package registry_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/clocktest"
	"github.com/tallyman-dev/tallyman/gitops/image"
	"github.com/tallyman-dev/tallyman/gitops/registry"
	"github.com/tallyman-dev/tallyman/gitops/registry/registrytest"
)

// Whatever a registry answers that is not 200 or 404 is an error whose code says whose fault
// it is; it never means that an image is not there, and a HEAD is not tried again as a GET.
func TestAnswersThatAreErrors(t *testing.T) {
	s := registrytest.New(t)
	s.Push("acme/api", "v1", registrytest.Image{})
	for _, test := range []struct {
		status int
		code   gitops.Code
		words  string
	}{
		{400, gitops.Unavailable, "answered 400"},
		{401, gitops.Unauthorized, "answered 401"},
		{403, gitops.Forbidden, "answered 403"}, // also of an absent tag, as Artifactory has it
		{406, gitops.Unavailable, "answered 406"},
		{418, gitops.Unavailable, "answered 418"},
		{429, gitops.RateLimited, "answered 429"},
		{500, gitops.Unavailable, "answered 500"},
		{502, gitops.Unavailable, "answered 502"},
		{503, gitops.Unavailable, "answered 503"},
		{504, gitops.Unavailable, "answered 504"},
	} {
		remove := s.Inject(registrytest.Fault{Answer: registrytest.Status(test.status)})
		s.Forget()
		counts := new(recorder)
		wantProblem(t, client(t, registry.Config{Recorder: counts}), s.Host(), test.code, test.words)
		if heads, all := s.Count(http.MethodHead, ""), s.Count("", ""); heads != 2 || all != 2 {
			t.Errorf("two looks that were answered %d sent %d requests, %d of them HEADs", test.status, all, heads)
		}
		each := counted{s.Host(), "manifest_head", strconv.Itoa(test.status)}
		if diff := cmp.Diff([]counted{each, each}, counts.take()); diff != "" {
			t.Error(diff)
		}
		remove()
	}
}

// When to come again, as the registry says it: in seconds or as a date.
func TestRetryAfter(t *testing.T) {
	s, clock := registrytest.New(t), clocktest.New()
	c := client(t, registry.Config{Now: clock.Now})
	for header, want := range map[string]time.Duration{
		"30": 30 * time.Second, " 7 ": 7 * time.Second, "": 0, "soon": 0, "-5": 0, "1.5": 0, "99999999999999999999": 0,
		"999999999": 24 * time.Hour,
		clock.Now().Add(45 * time.Second).Format(http.TimeFormat): 45 * time.Second,
		clock.Now().Add(-time.Minute).Format(http.TimeFormat):     0,
	} {
		for status, code := range map[int]gitops.Code{429: gitops.RateLimited, 503: gitops.Unavailable} {
			s.Inject(registrytest.Fault{Times: 1, Answer: registrytest.Status(status, "Retry-After", header)})
			_, err := c.Look(t.Context(), image.Question{Repository: s.Host() + "/acme/api", Tag: "v1"})
			wantRetryAfter(t, err, code, want)
		}
	}
	s.RequireToken(nil)
	s.Inject(registrytest.Fault{Kind: "token", Times: 1, Answer: registrytest.Status(429, "Retry-After", "30")})
	_, err := c.Look(t.Context(), image.Question{Repository: s.Host() + "/acme/api", Tag: "v1"})
	wantRetryAfter(t, err, gitops.RateLimited, 30*time.Second)
}

func wantRetryAfter(t *testing.T, err error, code gitops.Code, want time.Duration) {
	t.Helper()
	e, ok := err.(*gitops.Error)
	if !ok || e.Code != code || e.RetryAfter != want {
		t.Errorf("got %#v, want %s after %s", err, code, want)
	}
}

// Each failure of the network twice; afterwards the registry is asked as if nothing had been.
func TestNetworkFailures(t *testing.T) {
	s := registrytest.New(t)
	one := s.Push("acme/api", "v1", registrytest.Image{})
	var d net.Dialer
	down := func(context.Context, string, string) (net.Conn, error) {
		return d.DialContext(t.Context(), "tcp", closedPort(t))
	}
	noDNS := func(_ context.Context, _, address string) (net.Conn, error) {
		return nil, &net.DNSError{Err: "no such host", Name: address, IsNotFound: true}
	}
	get := registrytest.WithoutHeader("Docker-Content-Digest")
	for name, test := range map[string]struct {
		code, words string
		dial        func(context.Context, string, string) (net.Conn, error)
		fault       registrytest.Fault
	}{
		"refused":            {code: "refused", words: "refuses connections", dial: down},
		"DNS":                {code: "dns", words: "not known to DNS", dial: noDNS},
		"reset":              {code: "closed", words: "closed the connection", fault: registrytest.Fault{Answer: registrytest.Reset()}},
		"no answer":          {code: "timeout", words: "did not answer in time", fault: registrytest.Fault{Answer: registrytest.Hang()}},
		"a body that is cut": {code: "200", words: "closed the connection", fault: registrytest.Fault{Method: http.MethodGet, Answer: registrytest.Cut()}},
		"a body that hangs":  {code: "200", words: "did not answer in time", fault: registrytest.Fault{Method: http.MethodGet, Answer: registrytest.HangInBody()}},
		"too much":           {code: "200", words: "more than 4 MiB", fault: registrytest.Fault{Method: http.MethodGet, Answer: registrytest.Body(make([]byte, 5<<20))}},
		"not a manifest":     {code: "200", words: "not a manifest", fault: registrytest.Fault{Method: http.MethodGet, Answer: registrytest.Body([]byte("<html>"))}},
		"redirects":          {code: "307", words: "redirects", fault: registrytest.Fault{Answer: registrytest.Redirect(http.StatusTemporaryRedirect, "http://"+s.Host())}},
	} {
		t.Run(name, func(t *testing.T) {
			counts := new(recorder)
			broken := client(t, registry.Config{Dial: test.dial, Recorder: counts, Timeout: 200 * time.Millisecond})
			removeGet := s.Inject(registrytest.Fault{Method: http.MethodHead, Answer: get})
			remove := func() {}
			if test.fault.Answer != nil {
				remove = s.Inject(test.fault)
			}
			for range 2 {
				_, err := broken.Look(t.Context(), image.Question{Repository: s.Host() + "/acme/api", Tag: "v1", Platforms: true})
				if gitops.CodeOf(err) != gitops.Unavailable || !strings.Contains(gitops.PublicOf(err), "registry "+s.Host()+" ") || !strings.Contains(gitops.PublicOf(err), test.words) {
					t.Errorf("got %v, want what says %q", err, test.words)
				}
			}
			got := counts.take()
			if last := got[len(got)-1]; last.Code != test.code || last.Host != s.Host() {
				t.Errorf("counted %+v, want %s at last", got, test.code)
			}
			remove()
			removeGet()
			if test.dial == nil {
				wantDigest(t, look(t, broken, s.Host(), "v1"), one.Digest)
			}
		})
	}
}

// closedPort is an address without a listener.
func closedPort(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// A host that is not this machine is asked over TLS alone, and must be who it is.
func TestTLS(t *testing.T) {
	const host = "registry.example"
	s, caFile := registrytest.NewTLS(t, host, time.Now().Add(time.Hour))
	expired, expiredCA := registrytest.NewTLS(t, host, time.Now().Add(-time.Hour))
	plain := registrytest.New(t)
	one := s.Push("acme/api", "v1", registrytest.Image{})
	empty := filepath.Join(t.TempDir(), "empty.pem")
	writeFile(t, empty, "no certificate")
	for name, test := range map[string]struct {
		host, caFile, words string
		dial                func(context.Context, string, string) (net.Conn, error)
	}{
		"an unknown authority":   {host, "", "set caFile", s.Dial},
		"another authority":      {host, expiredCA, "not in its caFile as it was read", s.Dial},
		"another host":           {"other.example", caFile, "for another host", s.Dial},
		"an expired certificate": {host, expiredCA, "has expired", expired.Dial},
		"no TLS":                 {host, caFile, "does not speak TLS", plain.Dial},
		"a file without any":     {host, empty, "holds no certificate", s.Dial},
		"a file that is missing": {host, empty + ".not", "cannot be read", s.Dial},
	} {
		t.Run(name, func(t *testing.T) {
			c := client(t, registry.Config{Dial: test.dial, Hosts: []registry.Host{{Name: test.host, CAFile: test.caFile}}})
			wantProblem(t, c, test.host, gitops.Unavailable, test.words)
		})
	}
	if n := len(plain.Requests()); n != 0 {
		t.Errorf("%d requests were sent in the clear", n)
	}
	c := client(t, registry.Config{Dial: s.Dial, Hosts: []registry.Host{{Name: host, CAFile: caFile}}})
	wantDigest(t, look(t, c, host, "v1"), one.Digest)
	late := filepath.Join(t.TempDir(), "late.pem")
	c = client(t, registry.Config{Dial: s.Dial, Hosts: []registry.Host{{Name: host, CAFile: late}}})
	wantProblem(t, c, host, gitops.Unavailable, "cannot be read")
	pem, err := os.ReadFile(caFile)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, late, string(pem)) // a file that comes late is read without a restart
	wantDigest(t, look(t, c, host, "v1"), one.Digest)
}

// Whoever asks may stop; that is not the registry's fault.
func TestALookThatIsGivenUp(t *testing.T) {
	s := registrytest.New(t)
	s.RequireToken(nil)
	s.Push("acme/api", "v1", registrytest.Image{})
	c := client(t, registry.Config{})
	for _, kind := range []string{"token", "manifests"} {
		ctx, cancel := context.WithCancel(t.Context())
		remove := s.Inject(registrytest.Fault{Kind: kind, Answer: func(w http.ResponseWriter, r *http.Request, next http.Handler, closing <-chan struct{}) {
			cancel()
			registrytest.Hang()(w, r, next, closing)
		}})
		if _, err := c.Look(ctx, image.Question{Repository: s.Host() + "/acme/api", Tag: "v1"}); err != context.Canceled {
			t.Errorf("a look that was given up at its %s: %v", kind, err)
		}
		remove()
		look(t, c, s.Host(), "v1")
	}
}

// Something in front of a registry may answer everything with a page of its own: that is not an
// image.
func TestAPageIsNotAnImage(t *testing.T) {
	s := registrytest.New(t)
	for _, page := range []string{"<html>please log in</html>", `{"error":"down"}`, "", "null", "[]"} {
		remove := s.Inject(registrytest.Fault{Answer: func(w http.ResponseWriter, _ *http.Request, _ http.Handler, _ <-chan struct{}) {
			_, _ = w.Write([]byte(page))
		}})
		wantProblem(t, client(t, registry.Config{}), s.Host(), gitops.Unavailable, "not a manifest")
		remove()
	}
}

// Labels are of closed sets.
func TestOperationsAndFailures(t *testing.T) {
	if diff := cmp.Diff([]string{"manifest_head", "manifest", "blob", "tags", "referrers", "token"}, registry.Operations()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"timeout", "dns", "tls", "refused", "closed", "canceled", "other"}, registry.Failures()); diff != "" {
		t.Error(diff)
	}
}
