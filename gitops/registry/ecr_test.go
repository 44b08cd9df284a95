package registry_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/clocktest"
	"github.com/tallyman-dev/tallyman/gitops/image"
	"github.com/tallyman-dev/tallyman/gitops/registry"
	"github.com/tallyman-dev/tallyman/gitops/registry/registrytest"
)

const ecrHost = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"

// fakeECR is ECR's API.
type fakeECR struct {
	mu        sync.Mutex
	password  string
	fails     error
	fetched   int // passwords
	presence  image.Presence
	presences int
	unsigned  string
	pending   bool
}

func (f *fakeECR) Credentials(_ context.Context, host string, renew bool) (string, string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if host != ecrHost {
		return "", "", errors.New("credentials for " + host)
	}
	if f.fails != nil {
		return "", "", f.fails
	}
	if f.password == "" || renew {
		f.fetched++
		f.password = strings.Repeat("p", f.fetched)
	}
	return "AWS", f.password, nil
}

func (f *fakeECR) Presence(_ context.Context, host, repository, tag string) (image.Presence, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.presences++
	if host != ecrHost || repository != "acme/api" || f.fails != nil {
		return "", errors.Join(f.fails, errors.New("presence of "+host+"/"+repository))
	}
	return f.presence, nil
}

func (f *fakeECR) Signed(_ context.Context, host, repository, digest string) (string, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.unsigned, f.pending, f.fails
}

// newECR is ECR's host and API, and a client for them.
func newECR(t *testing.T) (*registrytest.Server, *fakeECR, *clocktest.Clock, *registry.Client) {
	t.Helper()
	s, caFile := registrytest.NewTLS(t, ecrHost, time.Now().Add(time.Hour))
	s.RequireBasic(map[string]string{"AWS": "p"})
	api, clock := &fakeECR{presence: image.Absent}, clocktest.New()
	return s, api, clock, client(t, registry.Config{ECR: api, Dial: s.Dial, Now: clock.Now, Hosts: []registry.Host{{Name: ecrHost, CAFile: caFile}}})
}

// Fifty looks at ECR ask AWS for one password, and send it at once. When it expires, which ECR
// says by a 403, it is renewed once for all of them.
func TestECRsPassword(t *testing.T) {
	s, api, _, c := newECR(t)
	s.Push("acme/api", "v1", registrytest.Image{})
	fifty := func() {
		t.Helper()
		var looks sync.WaitGroup
		for range 50 {
			looks.Go(func() {
				if _, err := c.Look(t.Context(), image.Question{Repository: ecrHost + "/acme/api", Tag: "v1"}); err != nil {
					t.Error(err)
				}
			})
		}
		looks.Wait()
	}
	fifty()
	if n := s.Count("", ""); n != 50 || api.fetched != 1 {
		t.Errorf("50 looks sent %d requests, with %d passwords of AWS", n, api.fetched)
	}
	for i, status := range []int{http.StatusForbidden, http.StatusUnauthorized, http.StatusBadRequest} {
		s.Expire(status, map[string]string{"AWS": strings.Repeat("p", i+2)})
		fifty()
		if api.fetched != i+2 {
			t.Errorf("after it expired as %d, AWS was asked for %d passwords, want %d", status, api.fetched, i+2)
		}
	}
}

// A 403 that stays is a permission's: the sentence names it, and AWS is not asked for a
// password each time. It is asked again when the password may have expired.
func TestECRsPermissions(t *testing.T) {
	s, api, clock, c := newECR(t)
	one := s.Push("acme/api", "v1", registrytest.Image{})
	remove := s.Inject(registrytest.Fault{Kind: "manifests", Answer: registrytest.Status(http.StatusForbidden)})
	s.RequireBasic(map[string]string{"AWS": "pp"})
	wantProblem(t, c, ecrHost, gitops.Forbidden, "403", "the AWS role needs ecr:BatchGetImage")
	wantProblem(t, c, ecrHost, gitops.Forbidden, "403")
	if api.fetched != 2 {
		t.Errorf("four looks that were forbidden fetched %d passwords, want one and one renewal", api.fetched)
	}
	remove()
	wantDigest(t, look(t, c, ecrHost, "v1"), one.Digest)
	s.Expire(http.StatusForbidden, map[string]string{"AWS": "ppp"})
	clock.Pass(5 * time.Minute)
	wantDigest(t, look(t, c, ecrHost, "v1"), one.Digest)

	s.Inject(registrytest.Fault{Kind: "blobs", Answer: registrytest.Status(http.StatusForbidden)})
	if _, err := c.Look(t.Context(), image.Question{Repository: ecrHost + "/acme/api", Tag: "v1", Platforms: true}); !strings.Contains(gitops.PublicOf(err), "ecr:GetDownloadUrlForLayer") {
		t.Errorf("a configuration that may not be read: %v", err)
	}
	s.RequireBasic(map[string]string{"AWS": api.password})
	if err := c.Tags(t.Context(), ecrHost+"/acme/api", func([]string) error { return nil }); err != nil {
		t.Error(err)
	}
	requests := s.Requests()
	if last := requests[len(requests)-1]; last.Query != "n=1000" && !strings.Contains(last.Query, "last=") {
		t.Errorf("ECR's tags were listed with %q", last.Query)
	}
	s.Expire(http.StatusUnauthorized, map[string]string{})
	wantProblem(t, c, ecrHost, gitops.Unauthorized, "401", "AWS")
}

// What AWS says when it gives no password is what is said, and it is asked again.
func TestECRWithoutPassword(t *testing.T) {
	s, api, _, c := newECR(t)
	one := s.Push("acme/api", "v1", registrytest.Image{})
	for _, test := range []struct {
		err  error
		code gitops.Code
	}{
		{gitops.Errorf(gitops.Forbidden, "registry %s is not asked: the AWS role needs ecr:GetAuthorizationToken", ecrHost), gitops.Forbidden},
		{errors.New("no credentials"), gitops.Unavailable},
	} {
		api.fails = test.err
		wantProblem(t, c, ecrHost, test.code)
	}
	api.fails = nil
	wantDigest(t, look(t, c, ecrHost, "v1"), one.Digest)
}

// ECR answers 404 for an image in its archive, too. Its API is asked which it is: at the first
// 404, twice a minute, and before an update fails.
func TestAnArchivedImageIsNotAbsent(t *testing.T) {
	s, api, clock, c := newECR(t)
	want := func(want image.Presence, thorough bool, asked int) {
		t.Helper()
		answer := ask(t, c, image.Question{Repository: ecrHost + "/acme/api", Tag: "v1", Thorough: thorough})
		if answer.Presence != want || api.presences != asked {
			t.Errorf("it is %s after %d calls, want %s after %d", answer.Presence, api.presences, want, asked)
		}
	}
	want(image.Absent, false, 1)
	want(image.Absent, false, 1)
	want(image.Absent, true, 2)
	clock.Pass(30 * time.Second)
	api.presence = image.Archived
	want(image.Archived, false, 3)
	clock.Pass(30 * time.Second)
	api.presence = image.Present // it came meanwhile: the next look finds it
	want(image.Absent, false, 4)
	clock.Pass(30 * time.Second)
	s.RequireBasic(map[string]string{"AWS": "p"})
	api.presence = ""
	want(image.Absent, false, 5)
	one := s.Push("acme/api", "v1", registrytest.Image{})
	wantDigest(t, look(t, c, ecrHost, "v1"), one.Digest)
}

// Where ECR does not say what is in its archive, as without the permission for it, the log says
// so once, however many images are absent, and again when it has said so meanwhile.
func TestAnUnknownArchiveIsLoggedOnce(t *testing.T) {
	s, caFile := registrytest.NewTLS(t, ecrHost, time.Now().Add(time.Hour))
	var log strings.Builder
	api, clock := &fakeECR{presence: image.Absent}, clocktest.New()
	c := client(t, registry.Config{ECR: api, Dial: s.Dial, Now: clock.Now, Logger: slog.New(slog.NewTextHandler(&log, nil)), Hosts: []registry.Host{{Name: ecrHost, CAFile: caFile}}})
	look(t, c, ecrHost, "v0") // it has a password
	for row := range 2 {
		api.fails = gitops.Errorf(gitops.Forbidden, "AWS denies ecr:DescribeImages")
		for tag := range 5 {
			wantAbsent(t, look(t, c, ecrHost, fmt.Sprintf("v%d-%d", row, tag)))
		}
		api.fails = nil
		look(t, c, ecrHost, fmt.Sprintf("v%d", row+1))
	}
	if n := strings.Count(log.String(), "cannot tell"); n != 2 {
		t.Errorf("%d lines for two rows of failures:\n%s", n, log.String())
	}
}

// ECR's managed signing is asked about what is there.
func TestECRsSigning(t *testing.T) {
	s, api, _, c := newECR(t)
	q := image.Question{Repository: ecrHost + "/acme/api", Tag: "v1", ECRSigned: true}
	api.unsigned, api.pending = "ECR is still signing it", true
	wantAbsent(t, ask(t, c, q))
	s.Push("acme/api", "v1", registrytest.Image{})
	if answer := ask(t, c, q); answer.Unsigned != api.unsigned || !answer.Pending {
		t.Errorf("while ECR signs: %+v", answer)
	}
	api.unsigned, api.pending = "", false
	if answer := ask(t, c, q); answer.Unsigned != "" || answer.Pending {
		t.Errorf("when ECR has signed: %+v", answer)
	}
	other := registrytest.New(t)
	other.Push("acme/api", "v1", registrytest.Image{})
	q.Repository = other.Host() + "/acme/api"
	c = client(t, registry.Config{ECR: api})
	if answer := ask(t, c, q); !strings.Contains(answer.Unsigned, "is not ECR") || answer.Pending {
		t.Errorf("of another registry: %+v", answer)
	}
}
