package registry_test

import (
	"net/http"
	"slices"
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

// One look is one HEAD, on a connection that is kept.
func TestLookIsOneHeadOnAKeptConnection(t *testing.T) {
	s, clock := registrytest.New(t), clocktest.New()
	one := s.Push("acme/api", "v1", registrytest.Image{})
	c := client(t, registry.Config{Now: clock.Now})
	for range 3 {
		answer := look(t, c, s.Host(), "v1")
		if diff := cmp.Diff(image.Answer{At: clock.Now(), Presence: image.Present, Digest: one.Digest}, answer); diff != "" {
			t.Error(diff)
		}
	}
	requests := s.Requests()
	if len(requests) != 3 || s.Count(http.MethodHead, "manifests") != 3 {
		t.Fatalf("three looks sent %+v, want three HEADs", requests)
	}
	for _, r := range requests {
		if r.Connection != requests[0].Connection {
			t.Errorf("a look used connection %s after %s", r.Connection, requests[0].Connection)
		}
	}
	c.Close()
	look(t, c, s.Host(), "v1")
	if last := s.Requests()[3]; last.Connection == requests[0].Connection {
		t.Error("a closed client kept its connection")
	}
}

// A registry that is not told of indexes has none, or answers with one platform's manifest:
// what is recorded is the index's digest.
func TestTheDigestIsTheIndexsOwn(t *testing.T) {
	s := registrytest.New(t)
	c := client(t, registry.Config{})
	for _, docker := range []bool{false, true} {
		i := twoPlatforms
		i.Docker = docker
		index := s.Push("acme/api", "v1", i)
		wantDigest(t, look(t, c, s.Host(), "v1"), index.Digest)
		single := s.Push("acme/api", "v1", registrytest.Image{Docker: docker})
		wantDigest(t, look(t, c, s.Host(), "v1"), single.Digest)
	}
	for _, r := range s.Requests() {
		for _, mediaType := range []string{"oci.image.index.v1+json", "oci.image.manifest.v1+json", "distribution.manifest.list.v2+json", "distribution.manifest.v2+json"} {
			if !strings.Contains(r.Accept, mediaType) {
				t.Errorf("%s %s accepts %s, without %s", r.Method, r.Reference, r.Accept, mediaType)
			}
		}
	}
}

func TestHeadWithoutDigestReadsAndHashesTheManifest(t *testing.T) {
	s := registrytest.New(t)
	index := s.Push("acme/api", "v1", twoPlatforms)
	for _, answer := range []registrytest.Answer{
		registrytest.WithoutHeader("Docker-Content-Digest"),
		registrytest.Status(http.StatusOK, "Docker-Content-Digest", "sha256:short"),
		registrytest.Status(http.StatusOK, "Docker-Content-Digest", "sha256:"+strings.Repeat("A", 64)),
		registrytest.Status(http.StatusOK, "Docker-Content-Digest", "sha512:"+strings.Repeat("a", 128)),
		registrytest.Status(http.StatusOK, "Docker-Content-Digest", "sha384:"+strings.Repeat("a", 96)),
		registrytest.Status(http.StatusMethodNotAllowed),
	} {
		remove := s.Inject(registrytest.Fault{Method: http.MethodHead, Answer: answer})
		s.Forget()
		wantDigest(t, look(t, client(t, registry.Config{}), s.Host(), "v1"), index.Digest)
		if heads, gets := s.Count(http.MethodHead, ""), s.Count(http.MethodGet, "manifests"); heads != 1 || gets != 1 {
			t.Errorf("%d HEAD and %d GET, want one of each", heads, gets)
		}
		remove()
	}
}

// Some registries answer 404 to a HEAD of what a GET has. Where a HEAD was ever answered with
// 200 a 404 is the truth, but for the last look before an update fails.
func TestHead404IsCheckedWhereTheHostMayNotKnowHead(t *testing.T) {
	s := registrytest.New(t)
	one := s.Push("acme/api", "v1", registrytest.Image{})
	remove := s.Inject(registrytest.Fault{Method: http.MethodHead, Answer: registrytest.Status(http.StatusNotFound)})
	c := client(t, registry.Config{})
	wantDigest(t, look(t, c, s.Host(), "v1"), one.Digest)
	wantDigest(t, look(t, c, s.Host(), "v1"), one.Digest)

	remove()
	wantDigest(t, look(t, c, s.Host(), "v1"), one.Digest)
	s.Forget()
	wantAbsent(t, look(t, c, s.Host(), "v2"))
	if gets := s.Count(http.MethodGet, ""); gets != 0 {
		t.Errorf("a host that knows HEAD was sent %d GETs for what is absent", gets)
	}
	s.Inject(registrytest.Fault{Method: http.MethodHead, Answer: registrytest.Status(http.StatusNotFound)})
	wantAbsent(t, look(t, c, s.Host(), "v1"))
	answer := ask(t, c, image.Question{Repository: s.Host() + "/acme/api", Tag: "v1", Thorough: true})
	wantDigest(t, answer, one.Digest)
	if !answer.Thorough {
		t.Error("the answer does not say that the look was thorough")
	}
}

// An event may come before the manifest can be read: it is absent, and then it is there.
func TestWhatIsNotReadableYetIsAbsentUntilItIs(t *testing.T) {
	s := registrytest.New(t)
	c := client(t, registry.Config{})
	wantAbsent(t, look(t, c, s.Host(), "v1")) // nor is the repository
	one := s.Push("acme/api", "v1", registrytest.Image{})
	s.Inject(registrytest.Fault{Kind: "manifests", Reference: "v1", Times: 4, Answer: registrytest.Status(http.StatusNotFound)})
	wantAbsent(t, look(t, c, s.Host(), "v1")) // a HEAD and a GET each
	wantAbsent(t, look(t, c, s.Host(), "v1"))
	wantDigest(t, look(t, c, s.Host(), "v1"), one.Digest)
}

// Each look asks the registry: the digest of a tag is not kept.
func TestTheDigestOfATagIsNotKept(t *testing.T) {
	s := registrytest.New(t)
	c := client(t, registry.Config{})
	for _, content := range []string{"a", "b", "a"} {
		pushed := s.Push("acme/api", "v1", registrytest.Image{Content: content})
		wantDigest(t, look(t, c, s.Host(), "v1"), pushed.Digest)
	}
	s.Delete("acme/api", "v1")
	wantAbsent(t, look(t, c, s.Host(), "v1"))
}

// One image that is gone, or that may not be read, stops no other.
func TestALookStopsNoOther(t *testing.T) {
	s := registrytest.New(t)
	good := s.Push("acme/api", "v1", registrytest.Image{})
	s.Inject(registrytest.Fault{Repository: "acme/api", Reference: "gone", Answer: registrytest.Status(http.StatusNotFound)})
	s.Inject(registrytest.Fault{Repository: "acme/secret", Answer: registrytest.Status(http.StatusForbidden)})
	c := client(t, registry.Config{})
	wantAbsent(t, look(t, c, s.Host(), "gone"))
	if _, err := c.Look(t.Context(), image.Question{Repository: s.Host() + "/acme/secret", Tag: "v1"}); gitops.CodeOf(err) != gitops.Forbidden {
		t.Errorf("a repository that may not be read: %v", err)
	}
	wantDigest(t, look(t, c, s.Host(), "v1"), good.Digest)
}

// Nothing but what the specification allows comes into a URL.
func TestNamesThatNoRegistryHasAreNotAskedFor(t *testing.T) {
	s := registrytest.New(t)
	c := client(t, registry.Config{})
	for _, q := range []image.Question{
		{Repository: s.Host() + "/acme/../api", Tag: "v1"},
		{Repository: s.Host() + "/acme//api", Tag: "v1"},
		{Repository: s.Host() + "/Acme", Tag: "v1"},
		{Repository: s.Host() + "/acme?x", Tag: "v1"},
		{Repository: s.Host() + "/" + strings.Repeat("a", 256), Tag: "v1"},
		{Repository: s.Host() + "/", Tag: "v1"},
		{Repository: "user@" + s.Host() + "/acme", Tag: "v1"},
		{Repository: s.Host() + "/acme/api", Tag: "../v1"},
		{Repository: s.Host() + "/acme/api", Tag: "v1?x=y"},
		{Repository: s.Host() + "/acme/api", Tag: ""},
		{Repository: s.Host() + "/acme/api", Tag: ".v1"},
		{Repository: s.Host() + "/acme/api", Tag: strings.Repeat("v", 129)},
	} {
		if _, err := c.Look(t.Context(), q); gitops.CodeOf(err) != gitops.Invalid || !strings.Contains(gitops.PublicOf(err), "such as") && !strings.Contains(gitops.PublicOf(err), "letters") {
			t.Errorf("%s:%s: %v, want an Invalid that says how", q.Repository, q.Tag, err)
		}
	}
	if requests := s.Requests(); len(requests) > 0 {
		t.Errorf("%+v was sent", requests)
	}
}

// All names of Docker Hub are one host, whose API has another, and images of one word are in
// library/ there. It is asked over TLS, as every host is that is not this machine.
func TestDockerHub(t *testing.T) {
	s, caFile := registrytest.NewTLS(t, "registry-1.docker.io", time.Now().Add(time.Hour))
	nginx, api := s.Push("library/nginx", "1", registrytest.Image{}), s.Push("acme/api", "v1", registrytest.Image{Content: "api"})
	counts := new(recorder)
	c := client(t, registry.Config{Dial: s.Dial, Recorder: counts, Hosts: []registry.Host{{Name: "docker.io", CAFile: caFile}}})
	for repository, digest := range map[string]string{
		"docker.io/nginx": nginx.Digest, "docker.io/library/nginx": nginx.Digest, "index.docker.io/nginx": nginx.Digest,
		"registry-1.docker.io/acme/api": api.Digest, "docker.io/acme/api": api.Digest,
	} {
		if host := c.Host(repository); host != "docker.io" {
			t.Errorf("the host of %s is %s", repository, host)
		}
		tag := "v1"
		if digest == nginx.Digest {
			tag = "1"
		}
		wantDigest(t, ask(t, c, image.Question{Repository: repository, Tag: tag}), digest)
	}
	if i := slices.IndexFunc(counts.take(), func(r counted) bool { return r.Host != "docker.io" }); i >= 0 {
		t.Error("Docker Hub is counted under another name than docker.io")
	}
}

func TestHostOfNamesWithPorts(t *testing.T) {
	c := client(t, registry.Config{})
	for repository, want := range map[string]string{
		"ghcr.io/acme/api": "ghcr.io", "registry.example:5000/api": "registry.example:5000", "localhost/api": "localhost", "127.0.0.1:5000/a/b/c": "127.0.0.1:5000", "ghcr.io/": "",
	} {
		if got := c.Host(repository); got != want {
			t.Errorf("the host of %s is %q, want %q", repository, got, want)
		}
	}
}
