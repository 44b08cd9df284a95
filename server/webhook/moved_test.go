package webhook_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// Digests of images.
var (
	firstImage = "sha256:" + strings.Repeat("a", 64)
	otherImage = "sha256:" + strings.Repeat("b", 64)
)

// memory is what was seen before, and counts who asks.
type memory struct {
	seen    []gitops.SeenImage
	err     error
	reads   int
	refused []string // environments
}

// remember has the shop's intake leave moved tags out in the environments.
func (s *shop) remember(environments []string, seen ...gitops.SeenImage) *memory {
	m := &memory{seen: seen}
	s.intake.Moved = &webhook.MovedTags{
		SeenImages: func(_ context.Context, repository string, tags []string) (found []gitops.SeenImage, err error) {
			m.reads++
			for _, image := range m.seen {
				if image.Repository == repository && slices.Contains(tags, image.Tag) {
					found = append(found, image)
				}
			}
			return found, m.err
		},
		Refuses: func(environment string) bool { return slices.Contains(environments, environment) },
		Refused: func(environment string) { m.refused = append(m.refused, environment) },
	}
	return m
}

// pushed sends the event of an image, by push or poll, with a digest.
func (s *shop) pushed(id string, by gitops.Principal, digest string) (gitops.Delivery, error) {
	s.t.Helper()
	return s.take(gitops.Event{
		Delivery: gitops.DeliveryKey{Source: source, ID: id}, Principal: by,
		Push: &gitops.ImagePush{Account: "123456789012", Region: "eu-west-1", Repository: "api", Tag: "t", Digest: digest},
	})
}

var (
	byPush = gitops.Principal{Push: &gitops.PushSource{Source: "eventbridge", Account: "123456789012"}}
	byPoll = gitops.Principal{Poll: "123456789012.dkr.ecr.eu-west-1.amazonaws.com"}
)

// Of an event that says that a tag names another image than before, what is for an environment
// that refuses that is left out before it is accepted, with both digests in the reason.
func TestMovedTagsAreLeftOutOfEvents(t *testing.T) {
	first := gitops.SeenImage{Repository: registry + "api", Tag: "t", Digest: firstImage, By: gitops.DeliveryKey{Source: "sns", ID: "before"}}
	named := gitops.SeenImage{Repository: registry + "api", Tag: "t", Digest: otherImage, Named: true}
	everywhere := []string{"dev", "prod"}
	for name, c := range map[string]struct {
		by      gitops.Principal
		digest  string
		refuses []string
		seen    []gitops.SeenImage
		want    []string // environments of the updates
		refused []string
		reads   int
	}{
		"the same image again":           {byPush, firstImage, everywhere, []gitops.SeenImage{first}, everywhere, nil, 1},
		"another image":                  {byPush, otherImage, everywhere, []gitops.SeenImage{first}, nil, everywhere, 1},
		"another image, by poll":         {byPoll, otherImage, everywhere, []gitops.SeenImage{first}, nil, everywhere, 1},
		"one environment allows it":      {byPush, otherImage, []string{"prod"}, []gitops.SeenImage{first}, []string{"dev"}, []string{"prod"}, 1},
		"both images count":              {byPush, otherImage, everywhere, []gitops.SeenImage{first, named}, everywhere, nil, 1},
		"the tag is new":                 {byPush, otherImage, everywhere, nil, everywhere, nil, 1},
		"another tag is known":           {byPush, otherImage, everywhere, []gitops.SeenImage{{Repository: registry + "api", Tag: "t2", Digest: firstImage}}, everywhere, nil, 1},
		"the event has no digest":        {byPush, "", everywhere, []gitops.SeenImage{first}, everywhere, nil, 0},
		"no environment refuses it":      {byPush, otherImage, nil, []gitops.SeenImage{first}, everywhere, nil, 0},
		"an order is not judged by this": {ann, otherImage, everywhere, []gitops.SeenImage{first}, []string{"dev"}, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			s.know("api")
			m := s.remember(c.refuses, c.seen...)
			var d gitops.Delivery
			var err error
			if c.by.Dispatch != nil {
				d, err = s.take(gitops.Event{Delivery: gitops.DeliveryKey{Source: source, ID: "o"}, Principal: ann, Orders: []gitops.Order{{App: "api", Environment: "dev", Tag: "t", Digest: c.digest}}})
			} else {
				d, err = s.pushed("p", c.by, c.digest)
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, u := range d.Updates {
				got = append(got, u.Environment)
			}
			outcome := gitops.OutcomeAccepted
			if len(c.want) == 0 {
				outcome = gitops.OutcomeIgnored
			}
			if diff := cmp.Diff(c.want, got); diff != "" || d.Outcome != outcome {
				t.Errorf("%s, updates -want +got:\n%s", d.Outcome, diff)
			}
			if diff := cmp.Diff(c.refused, m.refused); diff != "" || m.reads != c.reads {
				t.Errorf("after %d reads, want %d; counted -want +got:\n%s", m.reads, c.reads, diff)
			}
			for _, environment := range c.refused {
				if !strings.Contains(d.Reason, environment+": ") || !strings.Contains(d.Reason, firstImage) || !strings.Contains(d.Reason, otherImage) {
					t.Errorf("the reason is %q", d.Reason)
				}
			}
		})
	}
}

// Whether a tag moved is not guessed: without the store's answer the event is not accepted,
// and its sender sends it again.
func TestWithoutTheStoreNoImageIsAccepted(t *testing.T) {
	s := newShop(t)
	s.know("api")
	m := s.remember([]string{"prod"})
	m.err = gitops.Errorf(gitops.Unavailable, "the store is away")
	if d, err := s.pushed("p", byPush, firstImage); gitops.CodeOf(err) != gitops.Unavailable || len(s.outcomes) != 1 || s.outcomes[0] != "error" {
		t.Errorf("%+v, %v, counted %q", d, err, s.outcomes)
	}
	if d, kept := s.kept("p"); kept {
		t.Errorf("kept: %+v", d)
	}
	m.err = nil
	if d, err := s.pushed("p", byPush, firstImage); err != nil || d.Outcome != gitops.OutcomeAccepted {
		t.Errorf("sent again it is %+v, %v", d, err)
	}
}

// An event that comes twice is answered twice and counted once.
func TestAMovedTagIsCountedOnce(t *testing.T) {
	s := newShop(t)
	s.know("api")
	m := s.remember([]string{"dev", "prod"}, gitops.SeenImage{Repository: registry + "api", Tag: "t", Digest: firstImage})
	for range 2 {
		if d, err := s.pushed("p", byPush, otherImage); err != nil || d.Outcome != gitops.OutcomeIgnored || !strings.Contains(d.Reason, otherImage) {
			t.Errorf("%+v, %v", d, err)
		}
	}
	if len(m.refused) != 2 {
		t.Errorf("counted in %q, want once in each environment", m.refused)
	}
}

// What waits for its app is judged when it is decided: the tag may have been seen since.
func TestAMovedTagIsLeftOutOfWhatWaited(t *testing.T) {
	s := newShop(t)
	m := s.remember([]string{"prod"})
	if d, err := s.pushed("p", byPush, otherImage); err != nil || d.Outcome != gitops.OutcomeWaiting {
		t.Fatalf("%+v, %v", d, err)
	}
	m.seen = append(m.seen, gitops.SeenImage{Repository: registry + "api", Tag: "t", Digest: firstImage})
	s.know("api")
	m.err = gitops.Errorf(gitops.Unavailable, "the store is away")
	if err := s.intake.Reconsider(t.Context()); gitops.CodeOf(err) != gitops.Unavailable {
		t.Errorf("without the store's answer: %v", err)
	}
	s.becomes("p", gitops.OutcomeWaiting, "")
	m.err = nil
	s.reconsider()
	d := s.becomes("p", gitops.OutcomeAccepted, firstImage)
	if len(d.Updates) != 1 || d.Updates[0].Environment != "dev" || len(m.refused) != 1 {
		t.Errorf("updates %+v, counted in %q", d.Updates, m.refused)
	}
	s.reconsider()
	if len(m.refused) != 1 {
		t.Errorf("counted again: %q", m.refused)
	}
}
