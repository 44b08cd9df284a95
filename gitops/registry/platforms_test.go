package registry_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/image"
	"github.com/tallyman-dev/tallyman/gitops/registry"
	"github.com/tallyman-dev/tallyman/gitops/registry/registrytest"
)

var (
	amd64 = image.Platform{OS: "linux", Architecture: "amd64"}
	arm64 = image.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}
)

func withPlatforms(s *registrytest.Server, tag string) image.Question {
	return image.Question{Repository: s.Host() + "/acme/api", Tag: tag, Platforms: true}
}

// Of an index its entries' platforms, without those of attestations; of a single manifest
// that of its configuration.
func TestPlatforms(t *testing.T) {
	s := registrytest.New(t)
	c := client(t, registry.Config{})
	for name, test := range map[string]struct {
		image registrytest.Image
		want  []image.Platform
	}{
		"an index with attestations":     {twoPlatforms, []image.Platform{amd64, arm64}},
		"Docker's list":                  {registrytest.Image{Platforms: twoPlatforms.Platforms, Docker: true}, []image.Platform{amd64, arm64}},
		"an index in an index":           {registrytest.Image{Platforms: twoPlatforms.Platforms, Nested: true, Attestation: true}, []image.Platform{amd64, arm64}},
		"entries without platforms":      {registrytest.Image{Platforms: twoPlatforms.Platforms, Unnamed: true}, []image.Platform{amd64, arm64}},
		"a single manifest":              {registrytest.Image{Platforms: []string{"linux/arm64/v8"}}, []image.Platform{arm64}},
		"Docker's manifest":              {registrytest.Image{Docker: true}, []image.Platform{amd64}},
		"a single one with attestations": {registrytest.Image{Attestation: true}, []image.Platform{amd64}},
		"no platform at all":             {registrytest.Image{Platforms: []string{""}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			pushed := s.Push("acme/api", "v1", test.image)
			answer := ask(t, c, withPlatforms(s, "v1"))
			wantDigest(t, answer, pushed.Digest)
			if diff := cmp.Diff(test.want, answer.Platforms); diff != "" || answer.Missing != nil {
				t.Errorf("missing %v, platforms %s", answer.Missing, diff)
			}
		})
	}
}

// An index stays when a platform's own manifest is deleted: the answer names the platform.
func TestADeletedChildIsNamed(t *testing.T) {
	s := registrytest.New(t)
	c := client(t, registry.Config{})
	for _, nested := range []bool{false, true} {
		i := twoPlatforms
		i.Nested, i.Content = nested, "nested"
		pushed := s.Push("acme/api", "v1", i)
		s.Delete("acme/api", pushed.Children["linux/arm64/v8"])
		answer := ask(t, c, withPlatforms(s, "v1"))
		wantDigest(t, answer, pushed.Digest)
		if diff := cmp.Diff([]image.Platform{arm64}, answer.Missing); diff != "" || len(answer.Platforms) != 2 {
			t.Errorf("the index is for %v, and misses %s", answer.Platforms, diff)
		}
	}
}

// What can be found by its tag and is gone when it is read is absent, and not an error.
func TestAnImageThatIsDeletedMeanwhileIsAbsent(t *testing.T) {
	s := registrytest.New(t)
	pushed := s.Push("acme/api", "v1", twoPlatforms)
	s.Inject(registrytest.Fault{Method: http.MethodGet, Reference: pushed.Digest, Answer: registrytest.Status(http.StatusNotFound)})
	wantAbsent(t, ask(t, client(t, registry.Config{}), withPlatforms(s, "v1")))
}

// A configuration is on storage that another host serves: the credentials stay here.
func TestStorageElsewhereGetsNoCredentials(t *testing.T) {
	storage, s := registrytest.New(t), registrytest.New(t)
	for _, server := range []*registrytest.Server{storage, s} {
		server.Push("acme/api", "v1", registrytest.Image{})
	}
	s.RequireToken(nil)
	s.Inject(registrytest.Fault{Kind: "blobs", Answer: registrytest.Redirect(http.StatusTemporaryRedirect, "http://"+storage.Host())})
	counts := new(recorder)
	answer := ask(t, client(t, registry.Config{Recorder: counts}), withPlatforms(s, "v1"))
	if diff := cmp.Diff([]image.Platform{amd64}, answer.Platforms); diff != "" {
		t.Error(diff)
	}
	if got := storage.Requests(); len(got) != 1 || got[0].Authorization != "" {
		t.Errorf("storage was sent %+v", got)
	}
	for _, r := range counts.take() {
		if r.Host != s.Host() {
			t.Errorf("a request to storage is counted as one to %s", r.Host)
		}
	}
}

// Content that is not what its digest says is not read.
func TestContentIsHeldToItsDigest(t *testing.T) {
	s := registrytest.New(t)
	s.Push("acme/api", "v1", registrytest.Image{Platforms: []string{"linux/arm64"}})
	c := client(t, registry.Config{})
	for _, kind := range []string{"manifests", "blobs"} {
		remove := s.Inject(registrytest.Fault{Method: http.MethodGet, Kind: kind, Answer: registrytest.Body([]byte(`{"os":"linux","architecture":"amd64"}`))})
		if answer, err := c.Look(t.Context(), withPlatforms(s, "v1")); gitops.CodeOf(err) != gitops.Unavailable {
			t.Errorf("other %s were read: %+v, %v", kind, answer, err)
		}
		remove()
	}
}

// What anybody may push comes neither into a URL nor into a sentence as it is.
func TestAnIndexThatDoesHarm(t *testing.T) {
	s := registrytest.New(t)
	pushed := s.Push("acme/api", "v1", registrytest.Image{})
	s.Inject(registrytest.Fault{Method: http.MethodHead, Answer: registrytest.WithoutHeader("Docker-Content-Digest")})
	c := client(t, registry.Config{})
	index := func(digest, os string) {
		s.Inject(registrytest.Fault{Method: http.MethodGet, Answer: registrytest.Body([]byte(
			`{"schemaVersion":2,"manifests":[{"digest":"` + digest + `","platform":{"os":"` + os + `","architecture":"amd64"}}]}`))})
	}
	for _, digest := range []string{"", "../../../token", "sha256:..", "md5:00"} {
		index(digest, "linux")
		s.Forget()
		if answer, err := c.Look(t.Context(), withPlatforms(s, "v1")); gitops.CodeOf(err) != gitops.Unavailable || len(s.Requests()) != 2 {
			t.Errorf("with the digest %q: %+v, %v, after %+v", digest, answer, err, s.Requests())
		}
	}
	for _, os := range []string{strings.Repeat("a", 33), "<b>", `a\nb`, "Linux"} {
		index(pushed.Digest, os)
		if answer := ask(t, c, withPlatforms(s, "v1")); answer.Platforms != nil {
			t.Errorf("with the system %q it is for %v", os, answer.Platforms)
		}
	}
}

// An index is read within bounds.
func TestAnIndexWithoutEndIsNotFollowed(t *testing.T) {
	s := registrytest.New(t)
	c := client(t, registry.Config{})
	var many []string
	for _, architecture := range "abcdefghijklmnopqrstuvwxyz" {
		for _, variant := range "abcd" {
			many = append(many, "linux/"+string(architecture)+"/"+string(variant))
		}
	}
	s.Push("acme/api", "v1", registrytest.Image{Platforms: many})
	if _, err := c.Look(t.Context(), withPlatforms(s, "v1")); gitops.CodeOf(err) != gitops.Unavailable {
		t.Errorf("an index of %d entries: %v", len(many), err)
	}
	if n := len(s.Requests()); n > 102 {
		t.Errorf("%d requests for one image", n)
	}
}
