package ecrevent_test

import (
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/webhook/ecrevent"
)

func TestOnlyImagesCount(t *testing.T) {
	const (
		oci, index   = "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json"
		docker, list = "application/vnd.docker.distribution.manifest.v2+json", "application/vnd.docker.distribution.manifest.list.v2+json"
		ociConfig    = "application/vnd.oci.image.config.v1+json"
		dockerConfig = "application/vnd.docker.container.image.v1+json"
	)
	for _, c := range []struct {
		manifest, artifact any
		reason             string // "" when it counts
	}{
		{nil, nil, ""},
		{"", "", ""},
		{oci, ociConfig, ""},
		{oci, nil, ""},
		{index, nil, ""},
		{index, index, ""},
		{docker, dockerConfig, ""},
		{list, nil, ""},
		{"application/vnd.docker.distribution.manifest.v1+prettyjws", nil, ""},
		{nil, dockerConfig, ""},
		{"Application/vnd.oci.image.manifest.v1+JSON; charset=utf-8", ociConfig, ""},
		{oci, "application/vnd.cncf.helm.config.v1+json", `artifact-media-type "application/vnd.cncf.helm.config.v1+json" is not that of an image`},
		{oci, "application/vnd.wasm.config.v0+json", "is not that of an image"},
		{oci, "application/vnd.buildkit.cacheconfig.v0", "is not that of an image"},
		{index, "application/vnd.buildkit.cacheconfig.v0", "is not that of an image"},
		{oci, "application/vnd.in-toto+json", "is not that of an image"},
		{oci, "application/vnd.dev.cosign.artifact.sig.v1+json", "is not that of an image"},
		{oci, "application/vnd.dev.sigstore.bundle.v0.3+json", "is not that of an image"},
		{oci, "application/vnd.oci.empty.v1+json", "is not that of an image"},
		{oci, "application/vnd.cyclonedx+json", "is not that of an image"},
		{docker, "application/vnd.docker.plugin.v1+json", "is not that of an image"},
		{nil, "application/vnd.cncf.helm.config.v1+json", "is not that of an image"},
		{"application/vnd.oci.artifact.manifest.v1+json", nil, `manifest-media-type "application/vnd.oci.artifact.manifest.v1+json" is not that of an image`},
		{"application/vnd.cncf.oras.artifact.manifest.v1+json", "text/sbom+json", "manifest-media-type"},
		{"nonsense", nil, `manifest-media-type "nonsense" is not that of an image`},
		{strings.Repeat("x", 9999), nil, "manifest-media-type"},
	} {
		event, err := ecrevent.Read(by, edited(t, "push", map[string]any{"detail.manifest-media-type": c.manifest, "detail.artifact-media-type": c.artifact}))
		if err != nil || (event.Push != nil) != (c.reason == "") || !strings.Contains(event.IgnoreReason, c.reason) || len(event.IgnoreReason) > 300 {
			t.Errorf("%.60v with %v: got %+v, %v, want %q", c.manifest, c.artifact, event, err, c.reason)
		}
	}
}

// A signature cannot be told from an image by its types: its tag says what it is, and the
// policy looks at that. Nor can an
// index be told from one of a cache.
func TestRecordedPushesOfArtifacts(t *testing.T) {
	for name, counts := range map[string]bool{"push-index": true, "push-signature": true, "push-helm-chart": false, "push-buildx-cache": false} {
		event, err := ecrevent.Read(by, fixture(t, name))
		if err != nil || (event.Push != nil) != counts {
			t.Errorf("%s: got %+v, %v", name, event, err)
		}
	}
}

// What is no event of EventBridge is called by its name, with the way out.
func TestForeignBodies(t *testing.T) {
	for name, c := range map[string]struct{ body, says string }{
		"the detail alone": {`{"result": "SUCCESS", "repository-name": "api", "image-digest": "sha256:0", "action-type": "PUSH", "image-tag": "v1"}`,
			"the body is not an EventBridge event: it is the detail of one alone; remove InputPath ($.detail) and InputTransformer from the rule's target"},
		"a message of SNS":     {`{"Type": "Notification", "MessageId": "x", "TopicArn": "arn:aws:sns:eu-west-1:123456789012:t", "Message": "{}"}`, "it is a message of Amazon SNS; subscribe the topic to /webhooks/sns"},
		"a confirmation":       {`{"Type": "SubscriptionConfirmation", "TopicArn": "arn:x", "Token": "t"}`, "it is a message of Amazon SNS"},
		"a CloudEvent":         {`{"specversion": "1.0", "id": "1", "source": "aws.ecr", "type": "x", "data": {}}`, "it is a CloudEvent; send what EventBridge has as it is, without an input transformer"},
		"a list":               {` [{"id": "1"}]`, "the body is not an EventBridge event in JSON: it is a list; send each event by itself"},
		"a dispatch":           {`{"action": "update-image", "client_payload": {}}`, "set the App's webhook to /webhooks/github"},
		"a ping":               {`{"zen": "x", "hook_id": 1}`, "set the App's webhook to /webhooks/github"},
		"a batch":              {`{"Records": []}`, "it is a batch of Amazon SQS or S3"},
		"something else":       {`{"a": 1}`, "it has neither source nor detail-type"},
		"an event with a Type": {`{"id": "1", "detail-type": "ECR Image Action", "source": "aws.ecr", "detail": {}, "Type": "x", "TopicArn": "y"}`, ""},
	} {
		event, err := ecrevent.Read(by, []byte(c.body))
		if c.says == "" {
			if err != nil || event.Delivery.ID != "1" {
				t.Errorf("%s: %+v, %v", name, event, err)
			}
			continue
		}
		if gitops.CodeOf(err) != gitops.Invalid || !strings.Contains(gitops.PublicOf(err), c.says) {
			t.Errorf("%s: got %v, want %s", name, err, c.says)
		}
	}
}
