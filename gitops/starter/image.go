package starter

import (
	"regexp"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// reference is an image with its tag, its digest, or both.
var reference = regexp.MustCompile(`^((?:[A-Za-z0-9.-]+(?::[0-9]+)?/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)(?::([A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(?:@(sha256:[0-9a-f]{64}))?$`)

// splitReference takes REPOSITORY:TAG apart; ok is false without a tag, for that cannot
// be told from other text.
func splitReference(text string) (repository, tag string, ok bool) {
	m := reference.FindStringSubmatch(text)
	if m == nil || m[2] == "" {
		return "", "", false
	}
	return m[1], m[2], true
}

// isTag reports whether a text may be a tag.
func isTag(text string) bool {
	return text == "latest" || gitops.CheckTag("", text) == nil
}

var repositoryGrammar = regexp.MustCompile(`^(?:[A-Za-z0-9.-]+(?::[0-9]+)?/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*$`)

func isRepository(text string) bool { return len(text) <= 255 && repositoryGrammar.MatchString(text) }

// foreignImages are the registries and organizations whose images teams use and do not
// build.
var foreignImages = regexp.MustCompile(`(?i)^((docker\.io|index\.docker\.io|registry-1\.docker\.io|public\.ecr\.aws)/)?` +
	`((library/)?(nginx|redis|postgres|mysql|mariadb|mongo|memcached|rabbitmq|busybox|alpine|python|node|golang|debian|ubuntu|traefik|haproxy|envoy|vault|consul|kafka|zookeeper|elasticsearch|kibana|logstash)$` +
	`|(bitnami|bitnamilegacy|alpine|curlimages|amazon|envoyproxy|grafana|prom|prometheus|hashicorp|istio|jaegertracing|fluent|datadog|docker|elastic|velero|minio|otel|nginxinc|oliver006)/)` +
	`|^(registry\.k8s\.io|k8s\.gcr\.io|mcr\.microsoft\.com|gcr\.io/(distroless|google-containers|google_containers|cloudsql-docker|kubebuilder)|nvcr\.io|docker\.elastic\.co)/` +
	`|^quay\.io/(prometheus|prometheus-operator|jetstack|brancz|argoproj|cilium|coreos|thanos|oauth2-proxy|metallb|minio)/` +
	`|^ghcr\.io/(fluxcd|open-telemetry|external-secrets|kyverno|stakater|cloudnative-pg|dexidp|aquasecurity)/`)

func isForeign(repository string) bool { return foreignImages.MatchString(repository) }

// lastName is the last part of an image's name: cart of registry.example/shop/cart.
func lastName(repository string) string {
	return repository[strings.LastIndex(repository, "/")+1:]
}

// pattern returns the name of an image with {app} in the place of the app's, the last
// one where it is there twice. ok is false when it is not there.
func pattern(repository, app string) (text string, ok bool) {
	name := strings.ToLower(app)
	i := strings.LastIndex(repository, name)
	if i < 0 {
		return "", false
	}
	return repository[:i] + appName + repository[i+len(name):], true
}
