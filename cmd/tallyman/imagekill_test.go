package main

import (
	"os"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/queue/postgres/postgrestest"
	"github.com/tallyman-dev/tallyman/gitops/registry/registrytest"
)

// inspected has the images of prod inspected, which are in the registry.
func (s *site) inspected(registry *registrytest.Server) {
	s.t.Helper()
	text, err := os.ReadFile(s.config())
	s.must(err)
	text = []byte(strings.NewReplacer("prod:    {tags", "prod:    {image: {}, tags", "123456789012.dkr.ecr.eu-west-1.amazonaws.com/", registry.Host()+"/").Replace(string(text)))
	s.must(os.WriteFile(s.config(), text, 0o600))
}

// awaitImage waits for the log's line of an update that waits for its image, and returns its
// reason, which has since when and until when.
func (h *heldSite) awaitImage(c *child) (reason string) {
	h.t.Helper()
	h.must(c.await(h.ctx, func(line map[string]any) bool {
		reason, _ = line["reason"].(string)
		return line["msg"] == "update waits for its image"
	}))
	return reason
}

// A process that is killed while an update waits for its image leaves the deadline as it was:
// the process that is started in its place, or another replica, waits on, and writes the
// update once when the image is there.
func TestAWaitForAnImageOutlivesAKill(t *testing.T) {
	t.Run("started again", func(t *testing.T) {
		t.Parallel()
		registry := registrytest.New(t)
		h := newHeldSite(t)
		h.inspected(registry)
		h.begin()
		h.dispatch(h.base, "main-1111111")
		reason := h.awaitImage(h.child)
		h.must(h.child.kill())
		h.begin()
		h.waitsOn(registry, h.child, reason)
	})
	t.Run("another replica", func(t *testing.T) {
		t.Parallel()
		registry := registrytest.New(t)
		f := newFleet(t, 0, 2, postgrestest.Start(t).Schema(t))
		f.inspected(registry)
		h := &heldSite{site: f.site, ctx: f.ctx}
		f.up(f.members[0])
		h.dispatch(f.members[0].base, "main-1111111") // the lane is the first's now
		reason := h.awaitImage(f.members[0].child)
		f.up(f.members[1])
		h.must(f.members[0].child.kill())
		h.waitsOn(registry, f.members[1].child, reason)
	})
}

// waitsOn wants the process to wait for the same reason, and the update to be written when
// its image is there.
func (h *heldSite) waitsOn(registry *registrytest.Server, c *child, reason string) {
	h.t.Helper()
	if again := h.awaitImage(c); again != reason || !strings.Contains(reason, " has no app-00:main-1111111 (404 since ") {
		h.t.Errorf("it waits on by %q, before it was %q", again, reason)
	}
	h.expectSubjects()
	registry.Push("app-00", "main-1111111", registrytest.Image{})
	h.must(c.awaitUpdates(h.ctx, 1))
	h.expectSubjects(bumped("main-1111111"))
}
