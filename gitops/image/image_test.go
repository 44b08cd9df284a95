package image_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/image"
)

var (
	noon = time.Date(2026, 11, 27, 12, 0, 3, 0, time.UTC)
	a, b = "sha256:" + strings.Repeat("a", 64), "sha256:" + strings.Repeat("b", 64)
)

func update(change func(*gitops.Update)) gitops.Update {
	u := gitops.Update{ID: "4711", Environment: "prod", App: "api", Repository: "ghcr.io/acme/api", Tag: "v1.4.2", Principal: "dispatch:7"}
	if change != nil {
		change(&u)
	}
	return u
}

func named(digest, principal string) gitops.Update {
	return update(func(u *gitops.Update) { u.Digest, u.Principal = digest, principal })
}

func seen(digest string, named bool) gitops.SeenImage {
	return gitops.SeenImage{
		Repository: "ghcr.io/acme/api", Tag: "v1.4.2", Digest: digest, At: noon.Add(-24 * time.Hour),
		By: gitops.DeliveryKey{Source: "github", ID: "e1"}, Named: named,
	}
}

func platforms(t *testing.T, names ...string) (all []image.Platform) {
	t.Helper()
	for _, name := range names {
		p, err := image.ParsePlatform("", name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

func present(digest string) image.Answer {
	return image.Answer{At: noon, Presence: image.Present, Digest: digest}
}

const (
	wayOutOfMoved = "Push what is new under a new tag, or order this image by its digest: tallyman update api v1.4.2 --env prod --digest "
	movedFrom     = " when it was first seen at 2026-11-26 12:00:03 UTC by delivery github/e1. "
)

// Each outcome, with its code and its words.
func TestJudge(t *testing.T) {
	day := 24 * time.Hour
	moved := "acme/api:v1.4.2 has moved: in registry ghcr.io it is " + b + ", and was " + a + movedFrom + wayOutOfMoved + b
	amd := image.Rules{Platforms: platforms(t, "linux/amd64", "linux/arm64")}
	missing := present(a)
	missing.Platforms, missing.Missing = platforms(t, "linux/amd64", "linux/arm64/v8"), platforms(t, "linux/arm64/v8")
	oneOnly, attested, unsigned, pending := present(a), present(a), present(a), present(a)
	oneOnly.Platforms = append(platforms(t, "linux/amd64"), image.Platform{OS: "unknown", Architecture: "unknown"})
	attested.Platforms = []image.Platform{{OS: "unknown", Architecture: "unknown"}}
	unsigned.Unsigned = "no signature is by key cosign.pub"
	pending.Unsigned, pending.Pending = "ECR is making the signature", true
	late, overdue := pending, pending
	late.At = noon.Add(time.Hour)
	overdue.At, overdue.Thorough = late.At, true
	for name, c := range map[string]struct {
		rules   image.Rules
		update  gitops.Update
		answer  image.Answer
		seen    []gitops.SeenImage
		since   time.Time
		outcome image.Outcome
		code    gitops.Code
		words   string
		until   time.Time
	}{
		"present":                          {answer: present(a), outcome: image.OutcomePresent},
		"the digest that was ordered":      {update: named(a, "job:1"), answer: present(a), outcome: image.OutcomePresent},
		"the digest that was seen":         {answer: present(a), seen: []gitops.SeenImage{seen(a, false)}, outcome: image.OutcomePresent},
		"only the tag was seen":            {answer: present(a), seen: []gitops.SeenImage{seen("", false)}, outcome: image.OutcomePresent},
		"moved, and named since":           {answer: present(b), seen: []gitops.SeenImage{seen(a, false), seen(b, true)}, outcome: image.OutcomePresent},
		"back from what was named":         {answer: present(a), seen: []gitops.SeenImage{seen(a, false), seen(b, true)}, outcome: image.OutcomePresent},
		"moved, and it may":                {rules: image.Rules{AllowMoved: true}, answer: present(b), seen: []gitops.SeenImage{seen(a, false)}, outcome: image.OutcomePresent},
		"another tag's digest":             {answer: present(b), seen: []gitops.SeenImage{{Repository: "ghcr.io/acme/api", Tag: "v1", Digest: a}}, outcome: image.OutcomePresent},
		"moved, ordered by tag":            {answer: present(b), seen: []gitops.SeenImage{seen(a, false)}, outcome: image.OutcomeMoved, code: gitops.Rejected, words: moved},
		"moved, by a push":                 {update: named(b, "push:ecr/1"), answer: present(b), seen: []gitops.SeenImage{seen(a, false)}, outcome: image.OutcomeMoved, code: gitops.Rejected, words: moved},
		"moved, by a poll":                 {update: named(b, "poll:ghcr.io"), answer: present(b), seen: []gitops.SeenImage{seen(a, false)}, outcome: image.OutcomeMoved, code: gitops.Rejected, words: moved},
		"moved, and seen by a poll's scan": {answer: present(b), seen: []gitops.SeenImage{{Repository: "ghcr.io/acme/api", Tag: "v1.4.2", Digest: a, At: noon}}, outcome: image.OutcomeMoved, code: gitops.Rejected, words: "acme/api:v1.4.2 has moved: in registry ghcr.io it is " + b + ", and was " + a + " when it was first seen at 2026-11-27 12:00:03 UTC by a poll of the registry. " + wayOutOfMoved + b},
		"another digest than ordered": {update: named(b, "token:ann"), answer: present(a), outcome: image.OutcomeDigest, code: gitops.Rejected,
			words: "acme/api:v1.4.2 was ordered as " + b + ", and in registry ghcr.io it is " + a + ". Order it without a digest, or by the digest that is there: tallyman update api v1.4.2 --env prod --digest " + a},
		"absent": {rules: image.Rules{Wait: 5 * time.Minute}, answer: image.Answer{At: noon, Presence: image.Absent}, outcome: image.OutcomeAbsent,
			words: "registry ghcr.io has no acme/api:v1.4.2 (404 since 12:00:03 UTC); given up at 12:05:03 UTC", until: noon.Add(5 * time.Minute)},
		"absent since yesterday": {rules: image.Rules{Wait: 2 * day}, answer: image.Answer{At: noon, Presence: image.Absent}, since: noon.Add(-day), outcome: image.OutcomeAbsent,
			words: "registry ghcr.io has no acme/api:v1.4.2 (404 since 2026-11-26 12:00:03 UTC); given up at 2026-11-28 12:00:03 UTC", until: noon.Add(day)},
		"absent at the end, not asked thoroughly": {rules: image.Rules{Wait: time.Minute}, answer: image.Answer{At: noon, Presence: image.Absent}, since: noon.Add(-time.Hour), outcome: image.OutcomeAbsent,
			words: "registry ghcr.io has no acme/api:v1.4.2 (404 since 11:00:03 UTC); given up at 11:01:03 UTC", until: noon.Add(-59 * time.Minute)},
		"absent at the end": {rules: image.Rules{Wait: time.Minute}, answer: image.Answer{At: noon, Presence: image.Absent, Thorough: true}, since: noon.Add(-time.Minute), outcome: image.OutcomeAbsent, code: gitops.NotFound,
			words: "registry ghcr.io has no acme/api:v1.4.2: looked for from 11:59:03 UTC to 12:00:03 UTC. Push it, then run: tallyman retry 4711"},
		"archived": {answer: image.Answer{At: noon, Presence: image.Archived}, outcome: image.OutcomeArchived, code: gitops.Rejected,
			words: "registry ghcr.io has acme/api:v1.4.2 in its archive, from where it cannot be pulled. Restore it, which takes up to 20 minutes: aws ecr update-image-storage-class --repository-name acme/api --image-id imageTag=v1.4.2 --target-storage-class STANDARD, then run: tallyman retry 4711"},
		"archived, on the branch": {update: update(func(u *gitops.Update) { u.ID = "" }), answer: image.Answer{At: noon, Presence: image.Archived}, outcome: image.OutcomeArchived, code: gitops.Rejected,
			words: "registry ghcr.io has acme/api:v1.4.2 in its archive, from where it cannot be pulled. Restore it, which takes up to 20 minutes: aws ecr update-image-storage-class --repository-name acme/api --image-id imageTag=v1.4.2 --target-storage-class STANDARD"},
		"unsigned, on the branch": {update: update(func(u *gitops.Update) { u.ID = "" }), answer: unsigned, outcome: image.OutcomeUnsigned, code: gitops.Rejected,
			words: "acme/api:v1.4.2 in registry ghcr.io does not have the signature that environment prod demands: no signature is by key cosign.pub. Sign it"},
		"for another platform": {rules: amd, answer: oneOnly, outcome: image.OutcomePlatform, code: gitops.Rejected,
			words: "acme/api:v1.4.2 in registry ghcr.io is for linux/amd64 and not for linux/arm64, which environment prod demands: build it for that platform and push it under a new tag"},
		"attestations are no platform": {rules: amd, answer: attested, outcome: image.OutcomePlatform, code: gitops.Rejected,
			words: "acme/api:v1.4.2 in registry ghcr.io is for no platform that it names and not for linux/amd64, which environment prod demands: build it for that platform and push it under a new tag"},
		"a platform's manifest is missing": {rules: amd, answer: missing, outcome: image.OutcomePlatform, code: gitops.Rejected,
			words: "acme/api:v1.4.2 in registry ghcr.io is an index that names linux/arm64/v8, and the manifest of that platform is not there: push the image again under a new tag"},
		"one that is not demanded is missing": {rules: image.Rules{Platforms: platforms(t, "linux/amd64")}, answer: missing, outcome: image.OutcomePresent},
		"unsigned": {answer: unsigned, outcome: image.OutcomeUnsigned, code: gitops.Rejected,
			words: "acme/api:v1.4.2 in registry ghcr.io does not have the signature that environment prod demands: no signature is by key cosign.pub. Sign it, then run: tallyman retry 4711"},
		"not signed yet": {rules: image.Rules{Wait: time.Minute}, answer: pending, outcome: image.OutcomeUnsigned,
			words: "acme/api:v1.4.2 in registry ghcr.io is not signed yet: ECR is making the signature (since 12:00:03 UTC); given up at 12:01:03 UTC", until: noon.Add(time.Minute)},
		"not signed at the end": {rules: image.Rules{Wait: time.Minute}, answer: overdue, since: noon, outcome: image.OutcomeUnsigned, code: gitops.Rejected,
			words: "acme/api:v1.4.2 in registry ghcr.io does not have the signature that environment prod demands: ECR is making the signature. Sign it, then run: tallyman retry 4711"},
		"not signed at the end, not asked thoroughly": {rules: image.Rules{Wait: time.Minute}, answer: late, since: noon, outcome: image.OutcomeUnsigned,
			words: "acme/api:v1.4.2 in registry ghcr.io is not signed yet: ECR is making the signature (since 12:00:03 UTC); given up at 12:01:03 UTC", until: noon.Add(time.Minute)},
	} {
		t.Run(name, func(t *testing.T) {
			if c.update.Tag == "" {
				c.update = update(nil)
			}
			v := image.Judge(c.rules, c.update, c.answer, c.seen, c.since, noon)
			want := image.Verdict{Outcome: c.outcome}
			switch {
			case c.code != "":
				want.Fails = gitops.Errorf(c.code, "%s", c.words)
			case c.words != "":
				since := c.since
				if since.IsZero() {
					since = c.answer.At
				}
				if name == "not signed at the end, not asked thoroughly" {
					since = noon
				}
				want.Waits = &gitops.Block{Kind: gitops.BlockImage, Reason: c.words, Since: since, Until: c.until}
			default:
				want.Found = &gitops.Found{Digest: c.answer.Digest, At: noon}
			}
			if diff := cmp.Diff(want, v); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The way out of a moved tag: a person's order by the digest. It is said of what is written
// that a person named it.
func TestAnOrderNamesTheDigestOfAMovedTag(t *testing.T) {
	for _, principal := range []string{"dispatch:7", "job:1@https://token.actions.githubusercontent.com", "token:ann"} {
		v := image.Judge(image.Rules{}, named(b, principal), present(b), []gitops.SeenImage{seen(a, false)}, time.Time{}, noon)
		if diff := cmp.Diff(image.Verdict{Outcome: image.OutcomePresent, Found: &gitops.Found{Digest: b, At: noon, Named: true}}, v); diff != "" {
			t.Errorf("%s: %s", principal, diff)
		}
	}
}

// Events are refused before they are accepted, orders are not.
func TestMovedEvents(t *testing.T) {
	known := []gitops.SeenImage{seen(a, false)}
	for name, c := range map[string]struct {
		update gitops.Update
		seen   []gitops.SeenImage
		moved  bool
	}{
		"a push of another": {named(b, "push:ecr/1"), known, true},
		"a poll's":          {named(b, "poll:ghcr.io"), known, true},
		"an order":          {named(b, "dispatch:7"), known, false},
		"the same again":    {named(a, "push:ecr/1"), known, false},
		"without a digest":  {named("", "push:ecr/1"), known, false},
		"a tag's first":     {named(b, "push:ecr/1"), nil, false},
	} {
		why, moved := image.Moved(c.update, c.seen)
		if moved != c.moved || moved != strings.Contains(why, a) || moved != strings.Contains(why, b) {
			t.Errorf("%s: moved is %t: %s", name, moved, why)
		}
	}
}

// What a registry does not say is told with what it answered.
func TestWordsOfWhatIsNotKnown(t *testing.T) {
	got := image.Away(update(nil), gitops.Errorf(gitops.RateLimited, "registry ghcr.io answered 429: rate limited"), noon.Add(-time.Minute), noon)
	if want := "cannot check acme/api:v1.4.2 in registry ghcr.io: registry ghcr.io answered 429: rate limited (since 11:59:03 UTC); retrying"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	got = image.NoRepository(update(nil))
	if want := "environment prod inspects images, and app api had no repository when this update was accepted: set apps.api.repository and order it again"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Equal questions have one answer, whatever else an update asks for.
func TestAsk(t *testing.T) {
	key := &image.Key{}
	rules := image.Rules{Wait: time.Minute, Platforms: platforms(t, "linux/amd64"), SignedBy: key, ECRSigned: true}
	want := image.Question{Repository: "ghcr.io/acme/api", Tag: "v1.4.2", Platforms: true, SignedBy: key, ECRSigned: true}
	for _, u := range []gitops.Update{update(nil), named(b, "push:ecr/1")} {
		if got := rules.Ask(u); got != want {
			t.Errorf("it asks %+v", got)
		}
	}
	if got := (image.Rules{}).Ask(update(nil)); got.Platforms || got.SignedBy != nil || got.ECRSigned {
		t.Errorf("without rules it asks %+v", got)
	}
}
