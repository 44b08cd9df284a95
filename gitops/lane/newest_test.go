package lane_test

import (
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/lane"
)

// An older one that was held is not written either when it comes with the batch only because
// another of its app is cancelled, and the newest had no room in that.
func TestTheNewestGoesThatHadNoRoomInTheBatch(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.accept("web 1", "api 1")
		s.dies()
		until := time.Now().Add(time.Hour)
		s.holds.hold("web", gitops.BlockFreeze, until)
		s.holds.hold("api", gitops.BlockFreeze, until)
		r := s.with(lane.Config{BatchSize: 1, Environments: []lane.Environment{{Name: "dev", NewestHeld: true}}})
		r.Start()
		elapse(time.Minute)
		s.accept("api 2", "api 3")
		elapse(1234567 * time.Microsecond) // the lane looks at no such moment
		s.happened()
		s.holds.free("api")
		s.holds.hold("web", gitops.BlockStop, time.Time{}) // what takes the room is held
		s.skew.Store(int64(time.Hour))                     // the freezes are over
		s.decide(gitops.ActionCancel, "api 2")
		elapse(time.Minute)
		equal(t, "happened", []string{"api 2 cancelled", "web 1 stop", "api 3 committed", "api 1 superseded"}, s.happened())
		r.Stop(t.Context())
	})
}
