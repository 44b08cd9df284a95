package ecr_test

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/clocktest"
	"github.com/tallyman-dev/tallyman/gitops/registry/ecr"
	"github.com/tallyman-dev/tallyman/gitops/registry/ecr/ecrtest"
)

const getToken = "GetAuthorizationToken"

// password asks for one that the registry must take.
func password(t *testing.T, client *ecr.Client, registry *ecrtest.Registry, renew bool) string {
	t.Helper()
	user, secret, err := client.Credentials(t.Context(), registry.Host(), renew)
	if err != nil || !registry.Accepts(user, secret) {
		t.Fatalf("the registry does not take %s's password: %v", user, err)
	}
	return secret
}

// Fifty inspections at once with no token cost one GetAuthorizationToken, in each region.
func TestFiftyInspectionsWithoutATokenAskForOne(t *testing.T) {
	client, fake, registry := newClient(t, ecr.Config{})
	elsewhere := fake.Registry("210987654321", "us-east-1")
	var all sync.WaitGroup
	for range 50 {
		for _, r := range []*ecrtest.Registry{registry, elsewhere} {
			all.Go(func() {
				if user, secret, err := client.Credentials(t.Context(), r.Host(), false); err != nil || !r.Accepts(user, secret) {
					t.Errorf("%s: not taken: %v", r.Host(), err)
				}
			})
		}
	}
	all.Wait()
	if n := fake.Calls(getToken); n != 2 {
		t.Errorf("%d calls for two regions, want 2", n)
	}
	second := fake.Registry("210987654321", "eu-west-1")
	if _, _, err := client.Credentials(t.Context(), second.Host(), false); err != nil || fake.Calls(getToken) != 2 {
		t.Errorf("another account in a region that has one: %d calls, %v", fake.Calls(getToken), err)
	}
}

// A token that the registry does not accept any more is renewed once, without a restart: all who
// were refused together wait for the same one, and a new one is not renewed again at once.
func TestATokenThatIsNotAcceptedIsRenewedOnce(t *testing.T) {
	clock := clocktest.New()
	client, fake, registry := newClient(t, ecr.Config{Now: clock.Now})
	fake.SetNow(clock.Now)
	first := password(t, client, registry, false)
	if again := password(t, client, registry, true); again != first || fake.Calls(getToken) != 1 {
		t.Errorf("one that is seconds old was renewed: %d calls", fake.Calls(getToken))
	}
	clock.Pass(time.Hour)
	registry.Revoke()
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if user, secret, err := client.Credentials(t.Context(), registry.Host(), true); err != nil || !registry.Accepts(user, secret) {
				t.Errorf("not taken: %v", err)
			}
		})
	}
	all.Wait()
	if n := fake.Calls(getToken); n != 2 {
		t.Errorf("%d calls, want 2", n)
	}
	fake.Fail(getToken, ecrtest.Throttled)
	clock.Pass(time.Hour)
	_, _, err := client.Credentials(t.Context(), registry.Host(), true)
	mustBe(t, "a renewal that fails", err, gitops.RateLimited)
	password(t, client, registry, false)
}

// A token is replaced half an hour before its end while it is still used: no look waits for
// the new one, and none fails where AWS does not give it yet.
func TestATokenIsReplacedBeforeItsEnd(t *testing.T) {
	clock := clocktest.New()
	renewed, failed := make(chan string, 10), make(chan string, 10)
	fake := ecrtest.New(t)
	fake.UseKeys(t)
	fake.SetNow(clock.Now)
	registry := fake.Registry(account, "eu-west-1")
	client := ecr.New(ecr.Config{Now: clock.Now, Recorder: told(renewed), Logger: slog.New(slog.NewTextHandler(logTo(failed), nil))})
	first := password(t, client, registry, false)
	<-renewed

	clock.Pass(11*time.Hour + 29*time.Minute)
	if password(t, client, registry, false) != first || fake.Calls(getToken) != 1 {
		t.Errorf("replaced early: %d calls", fake.Calls(getToken))
	}
	clock.Pass(2 * time.Minute)
	fake.Fail(getToken, ecrtest.Throttled)
	if password(t, client, registry, false) != first {
		t.Error("one that is still good was not used")
	}
	if line := <-failed; !strings.Contains(line, "ECR password not renewed") {
		t.Errorf("logged %s", line)
	}
	if code := <-renewed; code != "429" {
		t.Errorf("the first renewal: %s", code)
	}
	for range 3 {
		password(t, client, registry, false) // too soon for another try
	}
	clock.Pass(2 * time.Minute)
	if password(t, client, registry, false) != first {
		t.Error("one that is still good was not used")
	}
	if code := <-renewed; code != "200" || fake.Calls(getToken) != 3 {
		t.Errorf("the second renewal: %s, %d calls", code, fake.Calls(getToken))
	}
	clock.Pass(time.Hour)
	if password(t, client, registry, false) == first {
		t.Error("one that has ended is used")
	}

	clock.Pass(24 * time.Hour)
	fake.Fail(getToken, ecrtest.Denied)
	_, _, err := client.Credentials(t.Context(), registry.Host(), false)
	mustBe(t, "after its end", err, gitops.Forbidden, "ecr:GetAuthorizationToken on *")
}

// While AWS gives no password it is asked again and again, and the log says it once.
func TestAPasswordThatDoesNotComeIsLoggedOnce(t *testing.T) {
	lines, clock := make(chan string, 100), clocktest.New()
	client, fake, registry := newClient(t, ecr.Config{Now: clock.Now, Logger: slog.New(slog.NewTextHandler(logTo(lines), nil))})
	fake.SetNow(clock.Now)
	for range 2 {
		for range 5 {
			fake.Fail(getToken, ecrtest.Denied)
			_, _, err := client.Credentials(t.Context(), registry.Host(), false)
			mustBe(t, "without a permission", err, gitops.Forbidden, "ecr:GetAuthorizationToken on *")
		}
		password(t, client, registry, false)
		clock.Pass(24 * time.Hour)
	}
	if n := len(lines); n != 2 {
		t.Errorf("%d lines for two rows of failures", n)
	}
}

// told is a recorder that says each code.
type told chan<- string

func (c told) Request(_, _, code string, _ time.Duration) { c <- code }

// logTo is a log that says each line.
type logTo chan<- string

func (c logTo) Write(line []byte) (int, error) { c <- string(line); return len(line), nil }

// Who gives up does not end the call that others wait for.
func TestOneCallersEndIsNotTheOthers(t *testing.T) {
	client, fake, registry := newClient(t, ecr.Config{})
	fake.Fail(getToken, ecrtest.Slow)
	first, cancel := context.WithCancel(t.Context())
	result := make(chan error, 2)
	go func() {
		_, _, err := client.Credentials(first, registry.Host(), false)
		result <- err
	}()
	<-fake.Hanging()
	cancel()
	if err := <-result; gitops.CodeOf(err) != gitops.Unavailable {
		t.Errorf("the one that gave up: %v", err)
	}
	go func() {
		_, _, err := client.Credentials(t.Context(), registry.Host(), false)
		result <- err
	}()
	fake.Continue()
	if err := <-result; err != nil || fake.Calls(getToken) != 1 {
		t.Errorf("the other: %d calls, %v", fake.Calls(getToken), err)
	}
}

// Each way to credentials works by what its pod has, and the first of several counts.
func TestCredentialsComeByAWSsChain(t *testing.T) {
	for name, c := range map[string]struct {
		uses       func(*ecrtest.Server, *testing.T)
		sts, agent int
	}{
		"keys":                     {func(s *ecrtest.Server, t *testing.T) { s.UseKeys(t) }, 0, 0},
		"IRSA":                     {func(s *ecrtest.Server, t *testing.T) { s.UseIRSA(t) }, 1, 0},
		"Pod Identity":             {func(s *ecrtest.Server, t *testing.T) { s.UsePodIdentity(t) }, 0, 1},
		"IRSA before Pod Identity": {func(s *ecrtest.Server, t *testing.T) { s.UsePodIdentity(t); s.UseIRSA(t) }, 1, 0},
		"keys before IRSA":         {func(s *ecrtest.Server, t *testing.T) { s.UseIRSA(t); s.UseKeys(t) }, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			fake := ecrtest.New(t)
			c.uses(fake, t)
			t.Setenv("AWS_REGION", "us-east-1") // the host's region counts
			client := ecr.New(ecr.Config{})
			for _, region := range []string{"eu-west-1", "cn-north-1", "eusc-de-east-1", "us-gov-west-1"} {
				password(t, client, fake.Registry(account, region), false)
			}
			if sts, agent := fake.Calls("AssumeRoleWithWebIdentity"), fake.Calls("PodIdentity"); sts != c.sts || agent != c.agent {
				t.Errorf("%d calls of STS and %d of the agent, want %d and %d", sts, agent, c.sts, c.agent)
			}
			fake.Fail(getToken, ecrtest.Expired)
			password(t, client, fake.Registry(account, "us-east-1"), false)
			if sts, agent := fake.Calls("AssumeRoleWithWebIdentity"), fake.Calls("PodIdentity"); sts != 2*c.sts || agent != 2*c.agent {
				t.Errorf("after they expired %d calls of STS and %d of the agent, want twice as many", sts, agent)
			}
		})
	}
}

// Without credentials the error says which kind the pod has, and what to set up.
func TestWithoutCredentialsTheErrorSaysWhatToSetUp(t *testing.T) {
	irsa := func(s *ecrtest.Server, t *testing.T) { s.UseIRSA(t) }
	agent := func(s *ecrtest.Server, t *testing.T) { s.UsePodIdentity(t) }
	sts, pod := "AssumeRoleWithWebIdentity", "PodIdentity"
	for name, c := range map[string]struct {
		uses   func(*ecrtest.Server, *testing.T)
		fails  string
		faults []ecrtest.Fault
		code   gitops.Code
		text   string
	}{
		"none":              {nil, "", nil, gitops.Unauthorized, "annotate the service account with a role (IRSA), associate a role with it (EKS Pod Identity), or set AWS_ACCESS_KEY_ID"},
		"no trust":          {irsa, sts, []ecrtest.Fault{ecrtest.Denied}, gitops.Forbidden, "AWS STS gives no credentials for role arn:aws:iam::123456789012:role/tallyman (AccessDenied): its trust policy must name"},
		"STS throttles":     {irsa, sts, []ecrtest.Fault{ecrtest.Throttled}, gitops.RateLimited, "AWS STS throttles"},
		"STS is broken":     {irsa, sts, []ecrtest.Fault{ecrtest.Broken, ecrtest.Broken}, gitops.Unavailable, "AWS STS does not answer for role arn:aws:iam::123456789012:role/tallyman (IRSA)"},
		"STS is gone":       {irsa, sts, []ecrtest.Fault{ecrtest.Gone, ecrtest.Gone}, gitops.Unavailable, "AWS STS does not answer"},
		"no token file":     {func(s *ecrtest.Server, t *testing.T) { s.UseIRSA(t); removeTokenFile(t) }, "", nil, gitops.Unauthorized, "the token file that AWS_WEB_IDENTITY_TOKEN_FILE names cannot be read"},
		"no association":    {agent, pod, []ecrtest.Fault{ecrtest.Denied}, gitops.Forbidden, "the pod identity agent gives no credentials"},
		"the agent is sick": {agent, pod, []ecrtest.Fault{ecrtest.Broken, ecrtest.Broken}, gitops.Unavailable, "the pod identity agent does not answer"},
		"the agent is gone": {agent, pod, []ecrtest.Fault{ecrtest.Gone, ecrtest.Gone}, gitops.Unavailable, "the pod identity agent does not answer"},
	} {
		t.Run(name, func(t *testing.T) {
			fake := ecrtest.New(t)
			if c.uses != nil {
				c.uses(fake, t)
			}
			seen := &recorder{}
			client := ecr.New(ecr.Config{Recorder: seen})
			registry := fake.Registry(account, "eu-west-1")
			for range 2 {
				fake.Fail(c.fails, c.faults...)
				_, _, err := client.Credentials(t.Context(), registry.Host(), false)
				mustBe(t, name, err, c.code, c.text)
			}
			if n := fake.Calls(getToken); n != 0 {
				t.Errorf("ECR was asked %d times without credentials", n)
			}
			if c.fails != "" {
				password(t, client, registry, false)
			}
		})
	}
}

func removeTokenFile(t *testing.T) {
	t.Helper()
	if err := os.Remove(os.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE")); err != nil {
		t.Fatal(err)
	}
}
