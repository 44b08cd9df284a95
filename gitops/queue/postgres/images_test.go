package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// pushed is a push of a tag with a digest.
func pushed(id, tag, digest string) gitops.Delivery {
	d := order(id, "api")
	d.Principal, d.Updates[0].Repository, d.Updates[0].Tag, d.Updates[0].Digest = "push:eventbridge/1", "r", tag, digest
	return d
}

// TestOnlyWhatTellsOfImagesPaysForThem accepts and reports without the table of images: what
// has no digest does not notice, and what would be recorded there is done with it or not at
// all.
func TestOnlyWhatTellsOfImagesPaysForThem(t *testing.T) {
	a := schema(t)
	s := open(t, a)
	execute(t, a, `ALTER TABLE images RENAME TO gone`)
	ordered := order("2", "api")
	ordered.Updates[0].Digest = "sha256:a"
	for _, d := range []gitops.Delivery{order("1", "api"), ordered, pushed("3", "v1", "")} {
		accept(t, s, d)
	}
	l := claim(t, s, "one", "dev", time.Hour)
	if _, err := s.Report(t.Context(), l, committed(gitops.UpdateID(ordered.Key(), "dev", "api"))); err != nil {
		t.Error(err)
	}
	if _, _, err := s.Accept(t.Context(), pushed("4", "v1", "sha256:a")); err == nil {
		t.Error("a push with a digest was accepted where it cannot be recorded")
	}
	found := committed(gitops.UpdateID(order("3", "api").Key(), "dev", "api"))
	found.Transitions[0].Found = &gitops.Found{Digest: "sha256:a", At: time.Now()}
	if _, err := s.Report(t.Context(), l, found); err == nil {
		t.Error("what was found was reported where it cannot be recorded")
	}
	if u, err := s.Update(t.Context(), found.Transitions[0].Update); err != nil || u.State == gitops.Committed || u.Found != nil {
		t.Errorf("the update is %+v, %v", u, err)
	}
	execute(t, a, `ALTER TABLE gone RENAME TO images`)
	if _, duplicate, err := s.Accept(t.Context(), pushed("4", "v1", "sha256:a")); err != nil || duplicate {
		t.Errorf("it was accepted without its image: %t, %v", duplicate, err)
	}
}

// TestManyImagesCostNothing has 20,000 images, and one of them asked for, recorded again
// and pushed.
func TestManyImagesCostNothing(t *testing.T) {
	a := schema(t)
	s := open(t, oneConnection(a))
	execute(t, a, `INSERT INTO images SELECT 'r', 'v' || n, 0, 'sha256:a', now(), '', '', false FROM generate_series(1, 20000) AS n`)
	execute(t, a, `VACUUM ANALYZE images`)
	accept(t, s, order("first", "api"))
	for what, call := range map[string]func() error{
		"SeenImages": func() error {
			seen, err := s.SeenImages(t.Context(), "r", []string{"v1", "v17", "missing"})
			return expect(err, len(seen), 2)
		},
		"RecordImages": func() error {
			return s.RecordImages(t.Context(), []gitops.SeenImage{{Repository: "r", Tag: "v5", Digest: "sha256:b", Named: true}, {Repository: "r", Tag: "v6"}})
		},
		"Accept": func() error {
			_, _, err := s.Accept(t.Context(), pushed("push", "v7", "sha256:b"))
			return err
		},
	} {
		if n := rowsRead(t, a, s, call); n > 200 {
			t.Errorf("%s: the server looked at %d rows", what, n)
		}
	}
}

// TestImagesOfAGroup accepts deliveries in one call: of those that are new the images are
// recorded, the first one's where several tell of a tag.
func TestImagesOfAGroup(t *testing.T) {
	s := open(t, schema(t))
	accept(t, s, pushed("known", "v1", "sha256:a"))
	done := make(chan error)
	for n := range 40 {
		d := pushed(fmt.Sprint("new-", n), fmt.Sprint("v", 2+n%4), fmt.Sprint("sha256:", n))
		if n%10 == 0 {
			d = pushed("known", fmt.Sprint("v", 10+n), "sha256:b") // another body under a known key
		}
		go func() {
			_, _, err := s.Accept(t.Context(), d)
			done <- err
		}()
	}
	for range 40 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	seen, err := s.SeenImages(t.Context(), "r", []string{"v1", "v2", "v3", "v4", "v5", "v10", "v20", "v30", "v40"})
	if err != nil || len(seen) != 5 {
		t.Fatalf("recorded are %+v, %v", seen, err)
	}
	for _, image := range seen[1:] {
		d, err := s.Delivery(t.Context(), image.By)
		if err != nil || d.Updates[0].Tag != image.Tag || d.Updates[0].Digest != image.Digest {
			t.Errorf("%+v is of %+v, %v", image, d.Updates, err)
		}
		first, _, err := s.Updates(t.Context(), queue.UpdateFilter{}, queue.Page{Limit: 100})
		for _, u := range first {
			if u.Tag == image.Tag && u.Sequence < d.Updates[0].Sequence {
				t.Errorf("update %s of %s was accepted before what was recorded, %v", u.ID, u.Tag, err)
			}
		}
	}
}
