package sns_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/webhook/sns"
	"github.com/tallyman-dev/tallyman/server/webhook/sns/snstest"
)

// A topic of each partition is known, and only in a region of that partition.
func TestTopics(t *testing.T) {
	for topic, ok := range map[string]bool{
		"arn:aws:sns:eu-west-1:123456789000:x":            true,
		"arn:aws-cn:sns:cn-north-1:123456789000:x":        true,
		"arn:aws-us-gov:sns:us-gov-west-1:123456789000:x": true,
		"arn:aws-eusc:sns:eusc-de-east-1:123456789000:x":  true,
		"arn:aws-iso:sns:us-iso-east-1:123456789000:x":    true,
		"arn:aws:sns:cn-north-1:123456789000:x":           false,
		"arn:aws-cn:sns:eu-west-1:123456789000:x":         false,
		"arn:aws-moon:sns:eu-west-1:123456789000:x":       false,
	} {
		if _, err := sns.New(sns.Config{Topics: []string{topic}}); (err == nil) != ok {
			t.Errorf("%s: %v", topic, err)
		}
	}
}

// A replication comes through SNS as a push does.
func TestAReplicationThroughSNS(t *testing.T) {
	a := snstest.New(t)
	r, _ := setUp(t, func(c *sns.Config) { c.Client.Transport = a })
	body := a.Notify("2", "m1", string(fixture(t, "replication.json")), now())
	if err := r.Authenticate(nil, body); err != nil {
		t.Fatal(err)
	}
	event, err := r.Decode(nil, body)
	want := &gitops.ImagePush{
		Account: "123456789012", Region: "us-east-1", Repository: "docker-hub/alpine", Tag: "3.17.2",
		Digest: "sha256:7f5b2640fe6fb4f46592dfd3410c4a79dac4f89e4782432e0378abcd1234",
	}
	if diff := cmp.Diff(want, event.Push); err != nil || diff != "" {
		t.Error(err, diff)
	}
}
