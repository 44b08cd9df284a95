package ecr_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/image"
	"github.com/tallyman-dev/tallyman/gitops/registry/ecr"
	"github.com/tallyman-dev/tallyman/gitops/registry/ecr/ecrtest"
)

// An image in the archive is told from one that is not there, which its registry answers alike. One
// that is being restored may still come.
func TestPresenceTellsArchivedFromAbsent(t *testing.T) {
	client, _, registry := newClient(t, ecr.Config{})
	registry.Repository("shop/api").Push(
		ecrtest.Image{Digest: digestOf(1), Tags: []string{"here", "also"}},
		ecrtest.Image{Digest: digestOf(2), Tags: []string{"archived"}, Status: "ARCHIVED"},
		ecrtest.Image{Digest: digestOf(3), Tags: []string{"restored"}, Status: "ACTIVATING"},
	)
	for of, want := range map[[2]string]image.Presence{
		{"shop/api", "here"}: image.Present, {"shop/api", "also"}: image.Present, {"shop/api", "archived"}: image.Archived,
		{"shop/api", "restored"}: image.Absent, {"shop/api", "never"}: image.Absent, {"shop/other", "here"}: image.Absent,
	} {
		got, err := client.Presence(t.Context(), registry.Host(), of[0], of[1])
		if err != nil || got != want {
			t.Errorf("%v: %s, %v, want %s", of, got, err, want)
		}
	}
}

// scan returns the sizes of the pages and all images by their tags.
func scan(t *testing.T, client *ecr.Client, host, repository string) (pages []int, byTag map[string]ecr.Image) {
	t.Helper()
	byTag = make(map[string]ecr.Image)
	err := client.Images(t.Context(), host, repository, func(page []ecr.Image) error {
		pages = append(pages, len(page))
		for _, i := range page {
			for _, tag := range i.Tags {
				byTag[tag] = i
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return pages, byTag
}

// Ten thousand images cost ten pages, not a request for each tag.
func TestTenThousandImagesCostTenCalls(t *testing.T) {
	client, fake, registry := newClient(t, ecr.Config{})
	pushed := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	for n := range 10_000 {
		registry.Repository("shop/api").Push(ecrtest.Image{Digest: digestOf(n), Tags: []string{fmt.Sprintf("1.0.%d", n)}, PushedAt: pushed.Add(time.Duration(n) * time.Second)})
	}
	pages, byTag := scan(t, client, registry.Host(), "shop/api")
	if len(pages) != 10 || fake.Calls("DescribeImages") != 10 || len(byTag) != 10_000 {
		t.Errorf("%d pages of %d calls with %d tags", len(pages), fake.Calls("DescribeImages"), len(byTag))
	}
	if last := byTag["1.0.9999"]; last.Digest != digestOf(9999) || !last.PushedAt.Equal(pushed.Add(9999*time.Second)) {
		t.Errorf("the last is %+v", last)
	}
}

// What a scan tells is what can be released: images that have a tag and are not in the archive. The
// time is that of the push, whenever the image was created; of an old image under a new tag it
// is that of its first push, so that nothing can tell when the tag came.
func TestAScanTellsTheTimeOfThePush(t *testing.T) {
	client, _, registry := newClient(t, ecr.Config{})
	old := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	registry.Repository("shop/api").Push(
		ecrtest.Image{Digest: digestOf(1), Tags: []string{"1.0.0", "1.0.1-under-a-new-tag"}, PushedAt: old},
		ecrtest.Image{Digest: digestOf(2), PushedAt: old},
		ecrtest.Image{Digest: digestOf(3), Tags: []string{"0.9.0"}, Status: "ARCHIVED", PushedAt: old},
	)
	_, byTag := scan(t, client, registry.Host(), "shop/api")
	if len(byTag) != 2 || !byTag["1.0.1-under-a-new-tag"].PushedAt.Equal(old) || byTag["1.0.0"].Digest != digestOf(1) {
		t.Errorf("got %v", byTag)
	}
}

// A repository that is empty or not there yet has no images, and is no error: it may be made by its
// first push.
func TestAScanOfNothing(t *testing.T) {
	client, _, registry := newClient(t, ecr.Config{})
	registry.Repository("shop/empty")
	for _, repository := range []string{"shop/empty", "shop/none"} {
		if _, byTag := scan(t, client, registry.Host(), repository); len(byTag) != 0 {
			t.Errorf("%s: %v", repository, byTag)
		}
	}
}

// A scan ends with the first error, whosever it is, and has told the pages before it.
func TestAScanEndsWithItsFirstError(t *testing.T) {
	client, fake, registry := newClient(t, ecr.Config{})
	for n := range 2500 {
		registry.Repository("shop/api").Push(ecrtest.Image{Digest: digestOf(n), Tags: []string{fmt.Sprintf("v%d", n)}})
	}
	enough, pages := errors.New("enough"), 0
	each := func([]ecr.Image) error {
		if pages++; pages == 2 {
			return enough
		}
		return nil
	}
	if err := client.Images(t.Context(), registry.Host(), "shop/api", each); !errors.Is(err, enough) || pages != 2 || fake.Calls("DescribeImages") != 2 {
		t.Errorf("%v after %d pages and %d calls", err, pages, fake.Calls("DescribeImages"))
	}
	pages = 0
	err := client.Images(t.Context(), registry.Host(), "shop/api", func([]ecr.Image) error {
		pages++
		fake.Fail("DescribeImages", ecrtest.Throttled)
		return nil
	})
	if mustBe(t, "the second page", err, gitops.RateLimited); pages != 1 {
		t.Errorf("%d pages", pages)
	}
}

// Scans of one registry share one pace, whichever repositories they are of; another registry, and
// what is asked for an update, do not wait for them.
func TestScansOfARegistryWaitTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pace := ecr.NewPace(500 * time.Millisecond)
		began := time.Now()
		var all sync.WaitGroup
		for range 9 {
			all.Go(func() { _ = pace.Wait(t.Context()) })
		}
		all.Wait()
		if took := time.Since(began); took != 4*time.Second {
			t.Errorf("9 calls took %s, want 4s", took)
		}
	})
	client, fake, registry := newClient(t, ecr.Config{ScanEvery: time.Hour})
	other := fake.Registry("210987654321", "eu-west-1")
	scan(t, client, registry.Host(), "shop/api")
	scan(t, client, other.Host(), "shop/api")
	if _, err := client.Presence(t.Context(), registry.Host(), "shop/api", "v1"); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := client.Images(ctx, registry.Host(), "shop/web", nil); gitops.CodeOf(err) != gitops.Unavailable || fake.Calls("DescribeImages") != 3 {
		t.Errorf("the second scan within the hour: %v, %d calls", err, fake.Calls("DescribeImages"))
	}
}
