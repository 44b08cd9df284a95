package server

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// saw records that a tag of an app was seen with a digest long ago.
func (s *imageSite) saw(r *running, app, tag, digest string) {
	s.t.Helper()
	s.must(r.store.RecordImages(s.t.Context(), []gitops.SeenImage{{
		Repository: s.registry.Host() + "/shop/" + app, Tag: tag, Digest: digest, At: time.Now().UTC().Add(-24 * time.Hour), By: gitops.DeliveryKey{Source: "sns", ID: "yesterday"},
	}}))
}

// moved is how many moved tags are counted in prod.
func (r *running) moved(t *testing.T) float64 {
	return gather(t, r.Server)[`tallyman_images_inspected_total{environment="prod",outcome="moved"}`]
}

// An order of a tag that names another image than before fails with both digests; one that
// names the new digest is written, and both count from then on.
func TestAMovedTagNeedsItsDigest(t *testing.T) {
	s := newImageSite(t)
	before := "sha256:" + strings.Repeat("0f", 32)
	now := s.push("api", "1.2.3", "moved")
	r := s.start()
	s.saw(r, "api", "1.2.3", before)
	wayOut := "tallyman update api 1.2.3 --env prod --digest " + now
	u := r.becomes(r.orderedInProd("1", "api", "1.2.3"), gitops.Failed, "has moved", before, now, "by delivery sns/yesterday", wayOut)
	if u.Code != gitops.Rejected || r.moved(t) != 1 {
		t.Errorf("the code is %s, and %v moved tags are counted", u.Code, r.moved(t))
	}
	s.wantCommits()

	order := `{"app": "api", "environment": "prod", "tag": "1.2.3", "digest": %q}`
	other := r.order("other", fmt.Sprintf(order, before)).delivery(t, http.StatusAccepted)
	r.becomes(other.Updates[0].ID, gitops.Failed, before, now, "was ordered as "+before)
	named := r.order("named", fmt.Sprintf(order, now)).delivery(t, http.StatusAccepted)
	u = r.becomes(named.Updates[0].ID, gitops.Committed)
	if u.Found == nil || u.Found.Digest != now || !u.Found.Named {
		t.Errorf("found is %+v", u.Found)
	}
	r.becomes(r.orderedInProd("2", "api", "1.2.3"), gitops.Unchanged)
	if r.moved(t) != 1 {
		t.Errorf("in the end %v moved tags are counted", r.moved(t))
	}
	s.wantCommits("chore: bump api to 1.2.3 (prod)")
}

// Where moved tags are allowed, what the tag names now is written.
func TestMovedTagsThatAreAllowedAreWritten(t *testing.T) {
	s := newImageSite(t)
	s.edit("image: {}", "image: {moved: allow}")
	now := s.push("api", "1.2.3", "moved")
	r := s.start()
	s.saw(r, "api", "1.2.3", "sha256:"+strings.Repeat("0f", 32))
	if u := r.becomes(r.orderedInProd("1", "api", "1.2.3"), gitops.Committed); u.Found == nil || u.Found.Digest != now {
		t.Errorf("found is %+v", u.Found)
	}
}
