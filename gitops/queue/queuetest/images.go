package queuetest

import (
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// imagesRecorded are images that a poll and a person record: of a tag the first digest stays.
func imagesRecorded(s *script) {
	none, by := gitops.DeliveryKey{}, gitops.DeliveryKey{Source: "api", ID: "1"}
	s.recordImages()
	first := s.image("api", "v1", digestA, none)
	s.recordImages(s.image("api", "v2", "", by), first, s.image("web", "v1", digestB, none), s.image("api", "v10", digestB, none))
	began := s.clock.Now()
	s.advance(time.Minute)
	tags := []string{"v2", "v1", "missing", "v10", "v1"}
	another := s.image("api", "v1", digestB, by)
	s.recordImages(another, first, s.image("api", "v1", "", by), named(s.image("api", "v1", "", by)), named(s.image("api", "v1", digestA, by)))
	v10, v2 := s.image("api", "v10", digestB, none), s.image("api", "v2", "", by)
	v10.At, v2.At = began, began
	s.seen("api", tags, first, v10, v2)
	s.crash()

	// A tag that was known alone gets its first digest, and a named one counts beside it.
	second := named(s.image("api", "v1", digestB, by))
	s.recordImages(second, second, another, named(s.image("api", "v3", digestB, by)), s.image("api", "v3", digestA, by), s.image("api", "v2", digestB, none))
	s.seen("api", append(tags, "v3"), first, second, v10, s.image("api", "v2", digestB, none), named(s.image("api", "v3", digestB, by)))
	s.recordImages(s.image("api", "v4", "", none), s.image("api", "v4", digestA, by), s.image("api", "v4", digestB, none), named(s.image("api", "v4", digestB, none)))
	s.seen("api", []string{"v4"}, s.image("api", "v4", digestA, by), named(s.image("api", "v4", digestB, none)))
	s.seen("missing", tags)
	s.seen("api", nil)
}

// imagesAccepted are deliveries of each kind: what a registry's event and a poll say that
// they saw is recorded with them.
func imagesAccepted(s *script) {
	tags := []string{"v1", "v2", "v3", "v4", "v5"}
	pushed := s.push("v1", digestA, "dev/api", "prod/api", "dev/web")
	pushed.EventTime = s.clock.Now().Add(-time.Second)
	s.accept(pushed)
	v1 := s.image("api", "v1", digestA, pushed.Key())
	s.seen("api", tags, v1)
	s.seen("web", tags, s.image("web", "v1", digestA, pushed.Key()))
	s.advance(time.Second)
	s.accept(pushed)
	s.accept(s.push("v1", digestB, "dev/api")) // another image of the tag
	s.accept(s.push("v2", "", "dev/api"))      // without a digest
	for _, principal := range []string{"token:push:", "dispatch:1", "job:1@x", "pushed:x", ""} {
		ordered := s.push("v3", digestA, "dev/api")
		ordered.Principal = principal
		s.accept(ordered)
	}
	s.seen("api", tags, v1)

	polled := s.push("v4", digestB, "dev/api")
	polled.Source, polled.Principal = "registry", "poll:registry.example"
	s.accept(polled)
	s.seen("api", tags, v1, s.image("api", "v4", digestB, polled.Key()))

	// It was seen, also where it is not written, and where its delivery waited.
	late := s.push("v5", digestA, "dev/api")
	late.EventTime = s.clock.Now().Add(-time.Hour)
	if u := s.accept(late).Updates[0]; u.State != gitops.Superseded {
		s.t.Fatalf("the late push is %s", u.State)
	}
	waits := s.order()
	waits.Principal, waits.Outcome, waits.Event = polled.Principal, gitops.OutcomeWaiting, []byte("an event")
	s.accept(waits)
	waits.Outcome, waits.Updates = gitops.OutcomeAccepted, s.push("v2", digestA, "dev/api").Updates
	s.settle(waits)
	s.crash()
	s.seen("api", tags, v1, s.image("api", "v2", digestA, waits.Key()), s.image("api", "v4", digestB, polled.Key()), s.image("api", "v5", digestA, late.Key()))
}

// imagesFound are images that were found before their updates were written: each is kept
// with its update, whose digest is what was ordered, and counts as seen.
func imagesFound(s *script) {
	d := s.order("dev/api", "dev/web", "dev/db", "dev/cache")
	d.Updates[2].Digest = digestB
	u := s.accept(d).Updates
	l := s.one("one", "dev")
	s.advance(time.Minute)
	s.transit(l, s.found(committed(u[0]), digestA, false), s.found(confirmed(u[1]), digestB, false), s.found(committed(u[2]), digestB, true), committed(u[3]))
	for i, want := range []*gitops.Found{{Digest: digestA}, {Digest: digestB}, {Digest: digestB, Named: true}, nil} {
		if want != nil {
			want.At = s.clock.Now().Add(-time.Second)
		}
		got, err := s.q.Update(s.t.Context(), u[i].ID)
		s.same("Found", got.Found, err, want, nil)
		if got.Digest != d.Updates[i].Digest {
			s.t.Fatalf("update %d was ordered with %q, and has %q", i, d.Updates[i].Digest, got.Digest)
		}
	}
	tag := u[0].Tag
	s.seen("api", []string{tag}, s.image("api", tag, digestA, d.Key()))
	s.seen("db", []string{tag}, named(s.image("db", tag, digestB, d.Key())))
	s.seen("cache", []string{tag})

	// What the table does not allow changes nothing, and another digest is not kept.
	again := s.order("dev/api", "dev/web")
	again.Updates[0].Tag, again.Updates[1].Tag = tag, tag
	u = append(u, s.accept(again).Updates...)
	first, second := s.image("api", tag, digestA, d.Key()), named(s.image("web", tag, digestA, again.Key()))
	s.transit(l, s.found(committed(u[0]), digestB, true), s.found(committed(u[4]), digestB, false), s.found(committed(u[5]), digestA, true))
	s.crash()
	s.seen("api", []string{tag}, first)
	s.seen("web", []string{tag}, s.image("web", tag, digestB, d.Key()), second)
}

// imagesOutliveEverything forgets the deliveries, and not what they brought.
func imagesOutliveEverything(s *script) {
	pushed := s.push("1.2.0", digestA, "dev/api")
	u := s.accept(pushed).Updates[0]
	ordered := s.accept(s.order("dev/web")).Updates[0]
	s.transit(s.one("one", "dev"), committed(u), s.found(committed(ordered), digestB, false))
	s.recordImages(s.image("db", "v1", "", gitops.DeliveryKey{}))
	at := s.clock.Now()
	s.advance(2 * queue.MemoryFor)
	s.prune(s.clock.Now(), 100)
	s.crash()
	if len(s.model.deliveries) > 0 {
		s.t.Fatal("something that ended has stayed")
	}
	api, web, db := s.image("api", "1.2.0", digestA, pushed.Key()), s.image("web", ordered.Tag, digestB, ordered.Delivery), s.image("db", "v1", "", gitops.DeliveryKey{})
	api.At, web.At, db.At = at, at, at
	s.seen("api", []string{"1.2.0"}, api)
	s.seen("web", []string{ordered.Tag}, web)
	s.seen("db", []string{"v1"}, db)
	if h := s.checkHeads("dev", "api"); h[0].AcceptedVersion != gitops.VersionKey("1.2.0") {
		s.t.Fatalf("the highest version that was accepted is %q", h[0].AcceptedVersion)
	}
	s.accept(s.push("1.2.0", digestB, "dev/api"))
	s.seen("api", []string{"1.2.0"}, api)
}

// imagesAtOnce has pushes, a poll and a report tell of one tag at the same time: one of
// their digests stays.
func imagesAtOnce(s *script) {
	ctx := s.t.Context()
	var ending sync.WaitGroup
	for n, digest := range []string{digestA, digestB, digestA, digestB} {
		d := s.push("v1", digest, "dev/api")
		ending.Go(func() {
			if _, _, err := s.q.Accept(ctx, d); err != nil {
				s.t.Error(err)
			}
		})
		ending.Go(func() {
			image := gitops.SeenImage{Repository: "registry.example/api", Tag: "v1", Digest: digest, Named: n > 1}
			if err := s.q.RecordImages(ctx, []gitops.SeenImage{image}); err != nil {
				s.t.Error(err)
			}
		})
	}
	ending.Wait()
	got, err := s.q.SeenImages(ctx, "registry.example/api", []string{"v1"})
	s.code("SeenImages", err, "")
	if len(got) != 2 && len(got) != 1 || len(got) == 2 && (got[0].Digest == got[1].Digest || !got[1].Named) {
		s.t.Fatalf("recorded are %+v", got)
	}
}

// acceptedVersion is the highest version of all that was ever accepted, of any kind.
func acceptedVersion(s *script) {
	for _, c := range []struct{ tag, want string }{
		{"main-1a2b3c4", ""}, {"v1.10.0", "1.10.0"}, {"1.9.0", "1.10.0"}, {"latest", "1.10.0"}, {"1.10.1-rc.1", "1.10.1-rc.1"}, {"1.2.0", "1.10.1-rc.1"},
	} {
		for _, d := range []gitops.Delivery{s.order("dev/api"), s.push(c.tag, "", "dev/api")} {
			d.Updates[0].Tag, d.Updates[0].OnlyUp = c.tag, d.Source == "eventbridge"
			s.accept(d)
			if h := s.checkHeads("dev", "api")[0]; h.AcceptedVersion != gitops.VersionKey(c.want) {
				s.t.Fatalf("after %s it is %q; want that of %s", c.tag, h.AcceptedVersion, c.want)
			}
		}
	}
	// What came late counts, too, and nothing else of the head is changed by it.
	s.accept(s.event(s.clock.Now().Add(-time.Second), "dev/api"))
	before := s.checkHeads("dev", "api")[0]
	late := s.event(s.clock.Now().Add(-time.Hour), "dev/api")
	late.Updates[0].Tag = "2.0.0"
	if u := s.accept(late).Updates[0]; u.State != gitops.Superseded {
		s.t.Fatalf("the late update is %s", u.State)
	}
	s.crash()
	after := s.checkHeads("dev", "missing", "api")[1]
	before.AcceptedVersion = gitops.VersionKey("2.0.0")
	s.same("the head", after, nil, before, nil)
}
