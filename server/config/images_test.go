package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/config"
)

// withImage is the least with an environment whose images are inspected.
func withImage(image string) string {
	return strings.Replace(minimal, "    tags:", "    image: "+image+"\n    tags:", 1)
}

func TestImageDefaults(t *testing.T) {
	t.Parallel()
	want := &config.Image{Wait: 5 * time.Minute, Moved: "refuse"}
	c := parse(t, withImage("{}"))
	if diff := cmp.Diff(want, c.Environments["dev"].Image); diff != "" || !c.ImagesInspected() {
		t.Errorf("image: {} is (inspected %t):\n%s", c.ImagesInspected(), diff)
	}
	if c := parse(t, minimal); c.Environments["dev"].Image != nil || c.ImagesInspected() {
		t.Errorf("without image it is %+v", c.Environments["dev"].Image)
	}
	want = &config.Image{Wait: 24 * time.Hour, Platforms: []string{"linux/amd64", "linux/arm/v7"}, Moved: "allow", Poll: time.Minute, SignedBy: "/etc/key", ECRSigning: true}
	c = parse(t, withImage("{wait: 24h, platforms: [linux/amd64, linux/arm/v7], moved: allow, poll: 1m, signedBy: /etc/key, ecrSigning: true}"))
	if diff := cmp.Diff(want, c.Environments["dev"].Image); diff != "" {
		t.Error(diff)
	}
}

// What is wrong with an environment's image is one sentence, which names what was given, the
// rule and the way out.
func TestImageIsStrict(t *testing.T) {
	t.Parallel()
	for image, want := range map[string]string{
		"":                         "environments.dev.image: has no value, which allows more and not less: write one, or leave the field out (line 9)",
		"{wait: 0s}":               "environments.dev.image.wait: is 0: give a value, or leave the field out for its default (line 9)",
		"{wait: 999ms}":            "environments.dev.image.wait: must be 1s to 24h, not 999ms: it is how long an update waits for an image that is not there",
		"{wait: 24h1s}":            "environments.dev.image.wait: must be 1s to 24h, not 24h0m1s: ",
		"{wait: -1m}":              "environments.dev.image.wait: must be 1s to 24h, not -1m0s: ",
		"{wait: 5}":                "environments.dev.image.wait: must be a duration such as 25s (line 9)",
		"{poll: 59s}":              "environments.dev.image.poll: must be 1m to 24h, not 59s; without the field the registry is not polled",
		"{poll: -10m}":             "environments.dev.image.poll: must be 1m to 24h, not -10m0s; ",
		"{poll: 25h}":              "environments.dev.image.poll: must be 1m to 24h, not 25h0m0s; ",
		"{poll: never}":            "environments.dev.image.poll: must be a duration such as 25s (line 9)",
		"{moved: ignore}":          "environments.dev.image.moved: must be one of refuse, allow, not \"ignore\"",
		"{moved: }":                "environments.dev.image.moved: has no value, which allows more",
		"{signedBy: ''}":           "environments.dev.image.signedBy: has no value, which allows more",
		"{platforms: }":            "environments.dev.image.platforms: has no value, which allows more",
		"{platforms: []}":          "environments.dev.image.platforms: must name at least one platform, such as linux/amd64; without the field an image may be for any",
		"{platforms: linux/amd64}": "environments.dev.image.platforms: must be a list (line 9)",
		"{platforms: [amd64]}":     `environments.dev.image.platforms[0]: "amd64" is not a platform: write os/architecture or os/architecture/variant in small letters, such as linux/amd64 or linux/arm/v7`,
		"{platforms: [linux/amd64, linux/x86_64]}":   `environments.dev.image.platforms[1]: "linux/x86_64" is not how images call that architecture: write linux/amd64`,
		"{platforms: [linux/amd64, linux/amd64]}":    "environments.dev.image.platforms[1]: linux/amd64 is the platform of environments.dev.image.platforms[0], too: remove one of them",
		"{platforms: [linux/arm64/v8, linux/arm64]}": "environments.dev.image.platforms[1]: linux/arm64 is the platform of environments.dev.image.platforms[0], too: remove one of them",
		"{timeout: 5m}": "environments.dev.image.timeout: is not a field; there are wait, platforms, moved, poll, signedBy, ecrSigning (line 9)",
		"true":          "environments.dev.image: must be a map with some of: wait, platforms, moved, poll, signedBy, ecrSigning (line 9)",
	} {
		wantOneProblem(t, withImage(image), want)
	}
}

func TestRegistriesAreStrict(t *testing.T) {
	t.Parallel()
	for registries, want := range map[string]string{
		"[{}]":                                 "registries[0].host: is missing: a registry's host, such as ghcr.io or registry.example:5000",
		"[{host: 'https://ghcr.io/'}]":         `registries[0].host: must be a host without a scheme, not "https://ghcr.io/": write ghcr.io`,
		"[{host: ghcr.io/acme}]":               `registries[0].host: must be a host alone, for all of its repositories, not "ghcr.io/acme": write ghcr.io`,
		"[{host: GHCR.io}]":                    `registries[0].host: must be in small letters, as in the names of images, not "GHCR.io": write ghcr.io`,
		"[{host: 'ghcr.io:http'}]":             `registries[0].host: must be a host, or host:port, as it stands in the names of images, such as ghcr.io or registry.example:5000, not "ghcr.io:http"`,
		"[{host: 'ghcr.io/'}]":                 "registries[0].host: must be a host, or host:port",
		"[{host: '*.example'}]":                "registries[0].host: must be a host, or host:port",
		"[{host: 'registry.example:0'}]":       `registries[0].host: must have a port of 1 to 65535, not "0"`,
		"[{host: 'registry.example:65536'}]":   `registries[0].host: must have a port of 1 to 65535, not "65536"`,
		"[{host: index.docker.io}]":            "registries[0].host: index.docker.io does not stand in the names of images: write docker.io, which is Docker Hub",
		"[{host: ghcr}]":                       `registries[0].host: must have a dot or a port, as every registry's host in the name of an image but localhost, not "ghcr": an image ghcr/NAME is one of docker.io`,
		"[{host: ghcr.io}, {host: ghcr.io}]":   "registries[1].host: ghcr.io is the host of registries[0], too: remove one of them",
		"[{host: ghcr.io, username: ann}]":     "registries[0].username: is not a field; there are host, dockerConfigFile, caFile (line 12)",
		"ghcr.io":                              "registries: must be a list (line 12)",
		"[ghcr.io]":                            "registries[0]: must be a map with some of: host, dockerConfigFile, caFile (line 12)",
		"[{host: '" + strings.Repeat("A", 500): "the configuration is not YAML",
	} {
		wantOneProblem(t, minimal+"registries: "+registries+"\n", want)
	}
	parse(t, minimal+"registries: [{host: ghcr.io, dockerConfigFile: /a}, {host: 'registry.example:5000', caFile: /b}, {host: 'localhost:5000'}, {host: localhost}, {host: 'registry:5000'}, {host: docker.io}]\n")
}

// Orders and polls arrive without a webhook: only a program that nothing reaches is an error.
func TestOneWayInIsEnough(t *testing.T) {
	t.Parallel()
	const sources = "sources:\n  github:\n    secretFiles: [/etc/tallyman/webhook-secret]\n"
	without := strings.Replace(minimal, sources, "", 1)
	wantOneProblem(t, without+"api: {}\n", "sources: must have github, eventbridge or sns, unless ")
	parse(t, without+"api: {tokens: [{name: ops, file: /a}]}\n")
	parse(t, without+"api: {oidc: {audience: 'https://tallyman.example'}}\n")
	polled := strings.Replace(withImage("{poll: 10m}"), sources, "", 1)
	parse(t, polled)
	wantOneProblem(t, strings.Replace(polled, "poll: 10m", "wait: 10m", 1), "sources: must have github, eventbridge or sns, unless ")
}

func wantOneProblem(t *testing.T, text, want string) {
	t.Helper()
	_, err := config.Parse([]byte(text))
	if got := found(err); len(got) != 1 || !strings.HasPrefix(got[0], want) || gitops.CodeOf(err) != gitops.Invalid {
		t.Errorf("%s\nfound %q, want %q", text, got, want)
	}
}
