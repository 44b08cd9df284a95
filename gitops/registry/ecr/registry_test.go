package ecr_test

import (
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/clocktest"
	"github.com/tallyman-dev/tallyman/gitops/image"
	"github.com/tallyman-dev/tallyman/gitops/registry"
	"github.com/tallyman-dev/tallyman/gitops/registry/ecr"
	"github.com/tallyman-dev/tallyman/gitops/registry/ecr/ecrtest"
	"github.com/tallyman-dev/tallyman/gitops/registry/registrytest"
)

// A registry of ECR as a whole: its own protocol takes the passwords that its API gives out, and its
// API tells what the protocol does not.
func TestARegistryOfECRIsAskedByBothOfItsProtocols(t *testing.T) {
	clock := clocktest.New()
	fake := ecrtest.New(t)
	fake.UseIRSA(t)
	fake.SetNow(clock.Now)
	repository := fake.Registry(account, "eu-west-1").Repository("shop/api")
	host := fake.Registry(account, "eu-west-1").Host()
	front, caFile := registrytest.NewTLS(t, host, time.Now().Add(time.Hour))
	front.RequireBasic(nil)
	fake.OnPassword(func(password string) { front.Expire(403, map[string]string{"AWS": password}) })
	client := registry.New(registry.Config{
		Hosts: []registry.Host{{Name: host, CAFile: caFile}}, Dial: front.Dial,
		ECR: ecr.New(ecr.Config{Now: clock.Now}), Now: clock.Now,
	})
	t.Cleanup(client.Close)
	pushed := front.Push("shop/api", "v1", registrytest.Image{Platforms: []string{"linux/amd64", "linux/arm64"}})
	look := func(tag string) image.Answer {
		t.Helper()
		a, err := client.Look(t.Context(), image.Question{Repository: host + "/shop/api", Tag: tag, Platforms: true, Thorough: true})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	if a := look("v1"); a.Presence != image.Present || a.Digest != pushed.Digest || len(a.Platforms) != 2 {
		t.Errorf("v1: %+v", a)
	}
	repository.Push(ecrtest.Image{Digest: digestOf(1), Tags: []string{"v0"}, Status: "ARCHIVED"})
	if a := look("v0"); a.Presence != image.Archived {
		t.Errorf("v0: %s", a.Presence)
	}
	if a := look("v2"); a.Presence != image.Absent {
		t.Errorf("v2: %s", a.Presence)
	}

	// ECR answers 403 for a password that has expired, and has no challenge.
	clock.Pass(time.Hour)
	front.Expire(403, map[string]string{"AWS": "another"})
	if a := look("v1"); a.Presence != image.Present || fake.Calls(getToken) != 2 {
		t.Errorf("after the password's end: %s, %d passwords", a.Presence, fake.Calls(getToken))
	}

	fake.Fail(getToken, ecrtest.Denied, ecrtest.Denied)
	clock.Pass(24 * time.Hour)
	_, err := client.Look(t.Context(), image.Question{Repository: host + "/shop/api", Tag: "v1"})
	mustBe(t, "without the permission", err, gitops.Forbidden, "ecr:GetAuthorizationToken on *", "assumed-role/tallyman")
}
