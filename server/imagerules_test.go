package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops/image"
	"github.com/tallyman-dev/tallyman/gitops/registry/cosign/cosigntest"
)

func TestImageRulesAreMadeOfTheConfiguration(t *testing.T) {
	s := newSite(t)
	key := filepath.Join(s.dir, "cosign.pub")
	s.must(os.WriteFile(key, cosigntest.PublicPEM(t, cosigntest.NewKey(t)), 0o600))
	s.inspectProd("wait: 7m, platforms: [linux/arm64], moved: allow, ecrSigning: true, signedBy: " + key)
	got, err := buildImageRules(s.config())
	s.must(err)
	prod, inspected := got["prod"]
	if prod.SignedBy == nil || prod.SignedBy.Name != key || !inspected || len(got) != 1 {
		t.Fatalf("the rules are %+v", got)
	}
	prod.SignedBy = nil
	want := image.Rules{Wait: 7 * time.Minute, Platforms: []image.Platform{{OS: "linux", Architecture: "arm64"}}, AllowMoved: true, ECRSigned: true}
	if diff := cmp.Diff(want, prod); diff != "" {
		t.Error(diff)
	}
}

// What is wrong with images and registries is found before anything is opened, and the field
// is named as the file spells it.
func TestImagesAndRegistriesAreChecked(t *testing.T) {
	const ecr = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
	files := map[string]string{
		"key":     "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n",
		"good":    `{"auths": {"ghcr.io": {"auth": "YW5uOnMzY3JldA=="}}}`,
		"helpers": `{"credHelpers": {"ghcr.io": "gh"}}`,
		"store":   `{"credsStore": "desktop", "auths": {"ghcr.io": {}}}`,
		"empty":   `{"auths": {}}`,
		"text":    "not JSON",
	}
	for name, c := range map[string]struct {
		image, registries string
		edit              [2]string
		want              string // of the only problem, or "" for none
	}{
		"all is well":                 {"{}", "[{host: ghcr.io, dockerConfigFile: DIR/good}]", [2]string{}, ""},
		"a host of ECR with a caFile": {"{}", "[{host: " + ecr + ", caFile: DIR/nothing}]", [2]string{}, "registries[0].caFile: DIR/nothing cannot be read"},
		"a host of ECR with a password": {"{}", "[{host: " + ecr + ", dockerConfigFile: DIR/good}]", [2]string{},
			"registries[0].dockerConfigFile: is for other registries: " + ecr + " is one of Amazon ECR, which is asked with the AWS credentials of this process, such as those of its pod's role. Remove the field"},
		"a host that is almost ECR's": {"{}", "[{host: 1234.dkr.ecr.eu-west-1.amazonaws.com}]", [2]string{}, "registries[0].host: 1234.dkr.ecr.eu-west-1.amazonaws.com is not a host of Amazon ECR: an AWS account has 12 digits"},
		"no certificates":             {"{}", "[{host: ghcr.io, caFile: DIR/text}]", [2]string{}, "registries[0].caFile: DIR/text holds no certificate in PEM"},
		"no file of credentials":      {"{}", "[{host: ghcr.io, dockerConfigFile: DIR/nothing}]", [2]string{}, "registries[0].dockerConfigFile: for registry ghcr.io, DIR/nothing cannot be read"},
		"not JSON":                    {"{}", "[{host: ghcr.io, dockerConfigFile: DIR/text}]", [2]string{}, `registries[0].dockerConfigFile: for registry ghcr.io, DIR/text is not JSON as "docker login" writes it`},
		"a helper":                    {"{}", "[{host: ghcr.io, dockerConfigFile: DIR/helpers}]", [2]string{}, "registries[0].dockerConfigFile: for registry ghcr.io, DIR/helpers names the helper docker-credential-gh for it, which is not executed"},
		"a store of credentials":      {"{}", "[{host: ghcr.io, dockerConfigFile: DIR/store}]", [2]string{}, "registries[0].dockerConfigFile: for registry ghcr.io, DIR/store names the helper docker-credential-desktop in credsStore, which is not executed"},
		"another host's credentials":  {"{}", "[{host: quay.io, dockerConfigFile: DIR/good}]", [2]string{}, "registries[0].dockerConfigFile: for registry quay.io, DIR/good has no entry for it in auths"},
		"registries without image":    {"", "[{host: quay.io, dockerConfigFile: DIR/good}]", [2]string{}, "registries[0].dockerConfigFile: for registry quay.io"},
		"no key":                      {"{signedBy: DIR/nothing}", "[]", [2]string{}, "environments.prod.image.signedBy: DIR/nothing cannot be read"},
		"a private key":               {"{signedBy: DIR/key}", "[]", [2]string{}, "environments.prod.image.signedBy: DIR/key has a private key, which does not belong here"},
		"an app without an image": {"{}", "[]", [2]string{"worker: {environments: [dev]}", "worker: {}"},
			"apps.worker.repository: is missing, and environments.prod.image looks for the images of prod in their registry"},
		"a poll that nothing allows": {"{poll: 10m}", "[]", [2]string{}, "environments.prod.image.poll: no rule of access allows to order in prod what is found in " + ecr + ": add one to access with who: {poll: {registries: [" + ecr + "]}}, or remove it here"},
		"a poll that a rule allows":  {"{poll: 10m}", "[]", [2]string{"access:\n", "access:\n  - {who: {poll: {registries: [" + ecr + "]}}, may: [order], apps: [api], environments: [prod]}\n"}, ""},
		"a poll of an address": {"{poll: 10m}", "[]", [2]string{"access:\n", "access:\n  - {who: {poll: {registries: [" + ecr + ", 'https://ghcr.io/acme']}}, may: [order], apps: [api], environments: [prod]}\n"},
			`access[0].who.poll.registries[1]: "https://ghcr.io/acme" must be a registry's host`},
		"a poll of one app that a rule allows in another environment": {"{poll: 10m}", "[]", [2]string{"access:\n", "access:\n  - {who: {poll: {registries: [" + ecr + "]}}, may: [order], apps: [api], environments: [dev]}\n"},
			"environments.prod.image.poll: no rule of access allows to order in prod"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			for file, content := range files {
				s.must(os.WriteFile(filepath.Join(s.dir, file), []byte(content), 0o600))
			}
			here := func(text string) string { return strings.ReplaceAll(text, "DIR/", s.dir+"/") }
			if c.image != "" {
				s.inspectProd(strings.Trim(here(c.image), "{}"))
			}
			s.yaml += "registries: " + here(c.registries) + "\n"
			if c.edit[0] != "" {
				s.edit(c.edit[0], c.edit[1])
			}
			server, err := s.newServer()
			got := sentences(err)
			switch {
			case c.want == "" && err == nil:
				s.must(server.Stop(t.Context()))
			case c.want == "" || len(got) != 1 || !strings.HasPrefix(got[0], here(c.want)) || strings.Contains(err.Error(), "s3cret"):
				t.Errorf("found %q, want %q", got, here(c.want))
			}
		})
	}
}

// A registry's password is a secret: its file is watched, and warned of when others can
// read it.
func TestPasswordsOfRegistriesAreSecrets(t *testing.T) {
	s := newSite(t)
	file := filepath.Join(s.dir, "docker.json")
	s.must(os.WriteFile(file, []byte(`{"auths": {"ghcr.io": {"auth": "YW5uOnMzY3JldA=="}}}`), 0o644))
	s.yaml += "registries: [{host: ghcr.io, dockerConfigFile: " + file + "}]\n"
	server, err := s.newServer()
	s.must(err)
	t.Cleanup(func() { s.must(server.Stop(t.Context())) })
	found := false
	for _, w := range server.current().warnings {
		found = found || w.Field == "registries[0].dockerConfigFile" && strings.Contains(w.Message, "mode 0644")
	}
	if !found {
		t.Errorf("warned of %v", server.current().warnings)
	}
}
