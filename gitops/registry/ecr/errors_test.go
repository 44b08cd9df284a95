package ecr_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/registry/ecr"
	"github.com/tallyman-dev/tallyman/gitops/registry/ecr/ecrtest"
)

// Each call fails by what went wrong, twice, and is as good as ever afterwards. Only what may be over
// at once has a second attempt: a throttled call has none.
func TestWhatGoesWrongWithACall(t *testing.T) {
	seen := &recorder{}
	client, fake, registry := newClient(t, ecr.Config{Recorder: seen})
	repository := registry.Repository("shop/api")
	repository.Push(ecrtest.Image{Digest: digestOf(1), Tags: []string{"v1"}})
	resources := map[string]string{"GetAuthorizationToken": "*"}
	for operation, call := range calls(client, registry.Host()) {
		resource := resources[operation]
		if resource == "" {
			resource = "arn:aws:ecr:eu-west-1:123456789012:repository/shop/api"
		}
		for _, c := range []struct {
			fault    ecrtest.Fault
			attempts int
			code     gitops.Code
			label    string
			texts    []string
		}{
			{ecrtest.Throttled, 1, gitops.RateLimited, "429", []string{"ECR's API in eu-west-1 throttles " + operation}},
			{ecrtest.Broken, 2, gitops.Unavailable, "500", []string{"ECR's API in eu-west-1 answered " + operation + " with ServerException (status 500)"}},
			{ecrtest.Gone, 2, gitops.Unavailable, "unanswered", []string{"ECR's API in eu-west-1 cannot be reached"}},
			{ecrtest.Expired, 2, gitops.Unauthorized, "401", []string{"the AWS credentials have expired"}},
			{ecrtest.Unknown, 2, gitops.Unauthorized, "401", []string{"does not accept the AWS credentials (UnrecognizedClientException)", "clock"}},
			{ecrtest.Denied, 1, gitops.Forbidden, "403", []string{"AWS denies ecr:" + operation + " on " + resource + " to arn:aws:iam::123456789012:user/ci: allow it in its IAM policy"}},
		} {
			for range 2 {
				before := fake.Calls(operation)
				for range c.attempts {
					fake.Fail(operation, c.fault)
				}
				mustBe(t, operation+" "+string(c.fault), call(t.Context()), c.code, c.texts...)
				if n := fake.Calls(operation) - before; n != c.attempts {
					t.Errorf("%s: %s has %d attempts, want %d", operation, c.fault, n, c.attempts)
				}
				if got, want := seen.take(), registry.Host()+" "+operation+" "+c.label; got != want {
					t.Errorf("counted %q, want %q", got, want)
				}
			}
		}
		if err := call(t.Context()); err != nil {
			t.Errorf("%s afterwards: %v", operation, err)
		}
		if got, want := seen.take(), registry.Host()+" "+operation+" 200"; got != want {
			t.Errorf("counted %q, want %q", got, want)
		}
	}
}

// A fault that is over by the second attempt is not seen at all.
func TestASecondAttemptHelps(t *testing.T) {
	client, fake, registry := newClient(t, ecr.Config{})
	registry.Repository("shop/api").Push(ecrtest.Image{Digest: digestOf(1), Tags: []string{"v1"}})
	for operation, call := range calls(client, registry.Host()) {
		if operation == "GetAuthorizationToken" {
			continue // it is kept, so one fault is all that can be tried: see below
		}
		for _, fault := range []ecrtest.Fault{ecrtest.Broken, ecrtest.Gone, ecrtest.Expired, ecrtest.Unknown} {
			fake.Fail(operation, fault)
			if err := call(t.Context()); err != nil {
				t.Errorf("%s, %s: %v", operation, fault, err)
			}
		}
	}
	fake.Fail("GetAuthorizationToken", ecrtest.Expired)
	if _, _, err := client.Credentials(t.Context(), registry.Host(), false); err != nil {
		t.Error(err)
	}
}

// A call that is never answered ends when its caller gives up, and by its own bound.
func TestACallThatHangs(t *testing.T) {
	client, fake, registry := newClient(t, ecr.Config{})
	for operation, call := range calls(client, registry.Host()) {
		ctx, cancel := context.WithCancel(t.Context())
		fake.Fail(operation, ecrtest.Hang)
		result := make(chan error, 1)
		go func() { result <- call(ctx) }()
		select {
		case <-fake.Hanging():
		case err := <-result:
			t.Fatalf("%s did not wait: %v", operation, err)
		}
		cancel()
		if err := <-result; gitops.CodeOf(err) != gitops.Unavailable {
			t.Errorf("%s: %v", operation, err)
		}
	}
	impatient := ecr.New(ecr.Config{Timeout: 1})
	for operation, call := range calls(impatient, registry.Host()) {
		mustBe(t, operation, call(t.Context()), gitops.Unavailable, "in time")
	}
}

// A registry of another account needs a permission on its side, too.
func TestADenialInAnotherAccountNamesBothPolicies(t *testing.T) {
	client, fake, _ := newClient(t, ecr.Config{})
	other := fake.Registry("210987654321", "eu-west-1")
	fake.Fail("DescribeImages", ecrtest.Denied)
	_, err := client.Presence(t.Context(), other.Host(), "shop/api", "v1")
	mustBe(t, "another account", err, gitops.Forbidden,
		"AWS denies ecr:DescribeImages on arn:aws:ecr:eu-west-1:210987654321:repository/shop/api to arn:aws:iam::123456789012:user/ci: allow it in its IAM policy, and in the repository's policy, as it is account 210987654321's")
}

// When to come again is read the same each time, and is a day at most.
func TestWhenToComeAgain(t *testing.T) {
	for _, c := range []struct {
		amz, http string
		want      time.Duration
	}{
		{"", "", 0}, {"", "30", 30 * time.Second}, {"1500", "30", 1500 * time.Millisecond}, {"soon", " 30 ", 30 * time.Second},
		{"0", "2", 2 * time.Second}, {"", "-5", 0}, {"", "1000000", 24 * time.Hour}, {"18446744073709551615", "", 24 * time.Hour},
	} {
		header := http.Header{"X-Amz-Retry-After": {c.amz}, "Retry-After": {c.http}}
		err := &smithyhttp.ResponseError{Response: &smithyhttp.Response{Response: &http.Response{Header: header}}, Err: errors.New("throttled")}
		for range 10 {
			if got := ecr.RetryAfterOf(err); got != c.want {
				t.Errorf("%q, %q: %s, want %s", c.amz, c.http, got, c.want)
			}
		}
	}
}
