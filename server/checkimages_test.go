package server

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/image"
	"github.com/tallyman-dev/tallyman/gitops/registry/ecr"
	"github.com/tallyman-dev/tallyman/gitops/registry/ecr/ecrtest"
	"github.com/tallyman-dev/tallyman/gitops/registry/registrytest"
	"github.com/tallyman-dev/tallyman/server/catalog"
)

// The images that are on the branch are asked for where an environment has them inspected, and
// nowhere else.
func TestCheckAsksForTheImagesOnTheBranch(t *testing.T) {
	s := newSite(t)
	registry := registrytest.New(t)
	s.edit("123456789012.dkr.ecr.eu-west-1.amazonaws.com", registry.Host())
	_, err := s.check()
	s.must(err)
	if n := len(registry.Requests()); n != 0 {
		t.Errorf("%d requests although no image is inspected", n)
	}

	s.inspectProd("platforms: [linux/amd64]")
	_, err = s.check()
	if got := sentences(err); len(got) != 1 || got[0] != "api in prod: registry "+registry.Host()+" has no shop/api:main-0000000, which is on the branch" {
		t.Errorf("found %q", got)
	}

	registry.Push("shop/api", "main-0000000", registrytest.Image{Platforms: []string{"linux/arm64", "linux/arm/v7"}})
	_, err = s.check()
	if got := sentences(err); len(got) != 1 || !strings.Contains(got[0], "is for linux/arm64, linux/arm/v7 and not for linux/amd64") {
		t.Errorf("found %q", got)
	}

	pushed := registry.Push("shop/api", "main-0000000", registrytest.Image{Platforms: []string{"linux/amd64", "linux/arm64"}, Attestation: true})
	out, err := s.check()
	s.must(err)
	if want := "api in prod: shop/api:main-0000000 is in registry " + registry.Host() + ", " + pushed.Digest + ", for linux/amd64, linux/arm64"; out[len(out)-1] != want {
		t.Errorf("said %q, want %q", out[len(out)-1], want)
	}

	host := registry.Host()
	registry.Inject(registrytest.Fault{Answer: registrytest.Status(503)})
	_, err = s.check()
	if got := sentences(err); len(got) != 1 || !strings.HasPrefix(got[0], "api in prod: ") || !strings.Contains(got[0], host) {
		t.Errorf("found %q", got)
	}
}

// Where a registry is polled its tags are listed, too: that may need another permission.
func TestCheckListsTheTagsOfWhatIsPolled(t *testing.T) {
	s := newImageSite(t)
	repository := s.registry.Host() + "/shop/api"
	s.push("api", "main-0000000", "api")
	s.push("shop", "main-0000000", "shop")
	s.edit("access:\n", "access:\n  - {who: {poll: {registries: ['"+s.registry.Host()+"']}}, may: [order], apps: ['*'], environments: [prod]}\n")
	s.edit("image: {}", "image: {poll: 10m}")
	_, err := s.check()
	s.must(err)
	heal := s.registry.Inject(registrytest.Fault{Kind: "tags", Repository: "shop/api", Answer: registrytest.Status(http.StatusForbidden)})
	_, err = s.check()
	if got := sentences(err); len(got) != 1 || !strings.HasPrefix(got[0], "api in prod: "+repository+" cannot be polled, since its tags cannot be listed: registry "+s.registry.Host()+" answered 403") {
		t.Errorf("found %q", got)
	}
	heal()
	s.edit("image: {poll: 10m}", "image: {}")
	s.edit("access:\n  - {who: {poll: {registries: ['"+s.registry.Host()+"']}}, may: [order], apps: ['*'], environments: [prod]}\n", "access:\n")
	before := s.registry.Count("", "tags")
	_, err = s.check()
	s.must(err)
	if n := s.registry.Count("", "tags"); n != before {
		t.Error("tags are listed that are not polled")
	}
}

// answers is a registry that says the same of all images, or fails.
type answers struct {
	answer image.Answer
	err    error
	asked  atomic.Int32
}

func (a *answers) Look(context.Context, image.Question) (image.Answer, error) {
	a.asked.Add(1)
	return a.answer, a.err
}

func (a *answers) Host(repository string) string { host, _ := image.Split(repository); return host }

// checked runs the check on apps of one environment, one after the other.
func checked(t *testing.T, registry *answers, aws *ecr.Client, rules image.Rules, images ...string) (out []string, problems []string) {
	t.Helper()
	var text strings.Builder
	var err error
	check := &imageCheck{registry: registry, ecr: aws, now: time.Now}
	var all []imageOnBranch
	for _, name := range images {
		repository, tag, _ := strings.Cut(name, ":")
		target := &catalog.Target{At: catalog.At{Environment: "prod", App: repository[strings.LastIndex(repository, "/")+1:]}, Image: repository}
		all = append(all, imageOnBranch{target, tag, rules, false})
	}
	err = check.run(t.Context(), &text, all)
	if text.Len() > 0 {
		out = strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
	}
	return out, sentences(err)
}

// newECR is a fake of a registry of ECR with a client of it.
func newECR(t *testing.T) (*ecr.Client, *ecrtest.Server, *ecrtest.Registry) {
	t.Helper()
	fake := ecrtest.New(t)
	fake.UseKeys(t)
	return ecr.New(ecr.Config{}), fake, fake.Registry("123456789012", "eu-west-1")
}

// ECR's immutability is held against the tag that is on the branch, with its filters. Where a moved tag
// is refused a mutable one is warned of.
func TestCheckSaysWhichTagsAreMutable(t *testing.T) {
	const name = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop/api:v1"
	const present = "api in prod: shop/api:v1 is in registry 123456789012.dkr.ecr.eu-west-1.amazonaws.com, sha256:ab"
	client, _, registry := newECR(t)
	for _, c := range []struct {
		setting string
		filters []string
		allows  bool
		want    []string
	}{
		{"IMMUTABLE", nil, false, []string{present + "; the tag is immutable (imageTagMutability IMMUTABLE)"}},
		{"IMMUTABLE_WITH_EXCLUSION", []string{"main-*"}, false, []string{present + "; the tag is immutable (imageTagMutability IMMUTABLE_WITH_EXCLUSION for main-*)"}},
		{"MUTABLE", nil, true, []string{present + "; the tag is mutable (imageTagMutability MUTABLE)"}},
		{"IMMUTABLE_WITH_EXCLUSION", []string{"v*"}, false, []string{present,
			"warning: api in prod: tag v1 of 123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop/api is mutable (imageTagMutability IMMUTABLE_WITH_EXCLUSION for v*): " +
				"if it is pushed again, its next updates are refused as moved. Make the repository's tags immutable, or set environments.prod.image.moved: allow"}},
	} {
		registry.Repository("shop/api").SetMutability(t, c.setting, c.filters...)
		out, problems := checked(t, &answers{answer: image.Answer{Presence: image.Present, Digest: "sha256:ab"}}, client, image.Rules{AllowMoved: c.allows}, name)
		if diff := cmp.Diff(c.want, out); diff != "" || problems != nil {
			t.Errorf("%s: %s, problems %q", c.setting, diff, problems)
		}
	}
}

// A permission that is missing is named, once for all apps that need it, and nothing else is lost.
func TestCheckNamesTheMissingPermission(t *testing.T) {
	const host = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
	client, fake, registry := newECR(t)
	registry.Repository("shop/api")
	fake.Fail("DescribeRepositories", ecrtest.Denied)
	fake.Fail("DescribeImages", ecrtest.Denied)
	here := &answers{answer: image.Answer{Presence: image.Present, Digest: "sha256:ab"}}
	out, problems := checked(t, here, client, image.Rules{}, host+"/shop/api:v1")
	if len(out) != 1 || !strings.HasSuffix(out[0], "sha256:ab") {
		t.Errorf("said %q", out)
	}
	const arn = "arn:aws:ecr:eu-west-1:123456789012:repository/shop/api"
	if len(problems) != 2 || !strings.Contains(problems[0], "AWS denies ecr:DescribeRepositories on "+arn) || !strings.Contains(problems[1], "AWS denies ecr:DescribeImages on "+arn) {
		t.Errorf("found %q", problems)
	}

	denied := &answers{err: gitops.Errorf(gitops.Forbidden, "registry %s denies it", host)}
	_, problems = checked(t, denied, client, image.Rules{}, host+"/shop/api:v1", host+"/shop/web:v1", host+"/shop/job:v1")
	if len(problems) != 1 || problems[0] != "api in prod and 2 more: registry "+host+" denies it" || denied.asked.Load() != 3 {
		t.Errorf("found %q, asked %d times", problems, denied.asked.Load())
	}
}

// What one registry does not answer is asked for once, and the others are asked all the same.
func TestCheckAsksARegistryThatIsAwayOnce(t *testing.T) {
	away := &answers{err: gitops.Errorf(gitops.Unavailable, "registry a.example cannot be reached")}
	images := make([]string, 3*checksAtOnce)
	for i := range images {
		images[i] = "a.example/shop/api:v1"
	}
	_, problems := checked(t, away, nil, image.Rules{}, append(images, "b.example/shop/api:v1")...)
	if len(problems) != 1 || away.asked.Load() < 2 || away.asked.Load() > checksAtOnce+1 {
		t.Errorf("found %q, asked %d times", problems, away.asked.Load())
	}
}
