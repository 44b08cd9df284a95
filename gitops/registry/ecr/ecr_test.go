package ecr_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/registry/ecr"
	"github.com/tallyman-dev/tallyman/gitops/registry/ecr/ecrtest"
)

const account = "123456789012"

// newClient is a client of a fake, with keys of its environment and a registry in eu-west-1.
func newClient(t *testing.T, config ecr.Config) (*ecr.Client, *ecrtest.Server, *ecrtest.Registry) {
	t.Helper()
	fake := ecrtest.New(t)
	fake.UseKeys(t)
	if config.ScanEvery == 0 {
		config.ScanEvery = time.Nanosecond
	}
	return ecr.New(config), fake, fake.Registry(account, "eu-west-1")
}

// digestOf is a digest that differs by its number.
func digestOf(n int) string { return fmt.Sprintf("sha256:%064x", n) }

// recorder keeps what it is told.
type recorder struct {
	mu   sync.Mutex
	seen []string
}

func (r *recorder) Request(host, operation, code string, _ time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, strings.Join([]string{host, operation, code}, " "))
}

func (r *recorder) take() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := strings.Join(r.seen, "\n")
	r.seen = nil
	return seen
}

// mustBe fails the test when an error has another code, or lacks one of the texts.
func mustBe(t *testing.T, what string, err error, code gitops.Code, texts ...string) {
	t.Helper()
	if gitops.CodeOf(err) != code {
		t.Errorf("%s: %s (%v), want %s", what, gitops.CodeOf(err), err, code)
	}
	for _, text := range texts {
		if !strings.Contains(gitops.PublicOf(err), text) {
			t.Errorf("%s: %q lacks %q", what, gitops.PublicOf(err), text)
		}
	}
	if strings.Contains(gitops.PublicOf(err), "internal detail") {
		t.Errorf("%s: it repeats AWS's own text: %v", what, err)
	}
}

// A client that is never asked looks for no credentials, and connects to nothing.
func TestNothingIsAskedBeforeTheFirstCall(t *testing.T) {
	fake := ecrtest.New(t)
	fake.UseIRSA(t)
	client := ecr.New(ecr.Config{})
	if n := fake.Calls("AssumeRoleWithWebIdentity"); n != 0 {
		t.Errorf("%d calls before there was anything to ask", n)
	}
	if _, _, err := client.Credentials(t.Context(), fake.Registry(account, "eu-west-1").Host(), false); err != nil || fake.Calls("AssumeRoleWithWebIdentity") != 1 {
		t.Errorf("%d calls, %v", fake.Calls("AssumeRoleWithWebIdentity"), err)
	}
}

func TestAHostThatIsNotOfECRIsNotAsked(t *testing.T) {
	client, _, _ := newClient(t, ecr.Config{})
	for _, host := range []string{"ghcr.io", "public.ecr.aws", "127.0.0.1:5000", "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.example"} {
		_, _, err := client.Credentials(t.Context(), host, false)
		mustBe(t, host, err, gitops.Invalid, host+" is not a host of Amazon ECR")
	}
}

// calls are all of the client's methods.
func calls(client *ecr.Client, host string) map[string]func(ctx context.Context) error {
	return map[string]func(ctx context.Context) error{
		"GetAuthorizationToken": func(ctx context.Context) error {
			_, _, err := client.Credentials(ctx, host, false)
			return err
		},
		"DescribeImages": func(ctx context.Context) error {
			_, err := client.Presence(ctx, host, "shop/api", "v1")
			return err
		},
		"DescribeRepositories": func(ctx context.Context) error {
			_, err := client.Mutability(ctx, host, "shop/api")
			return err
		},
		"DescribeImageSigningStatus": func(ctx context.Context) error {
			_, _, err := client.Signed(ctx, host, "shop/api", digestOf(1))
			return err
		},
	}
}
