package lane_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/lane"
)

func TestStuckSeesAWriterThatNeverReturns(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		hang := make(chan struct{})
		s.accept("api 1")
		s.writer.then(func(context.Context, []gitops.WriteTask) (gitops.WriteResult, error) {
			s.writer.makesStep()
			<-hang // deaf to its context
			s.writer.makesStep()
			return gitops.WriteResult{}, errors.New("hung")
		})
		s.Start()
		elapse(5 * time.Minute)
		if _, stuck := s.Stuck(); stuck {
			t.Error("stuck while a write may still be going on")
		}
		elapse(4 * time.Minute)
		if environment, stuck := s.Stuck(); environment != "dev" || !stuck {
			t.Error("not stuck")
		}
		close(hang)
		synctest.Wait()
		if _, stuck := s.Stuck(); stuck {
			t.Error("stuck after it went on")
		}
		s.Stop(t.Context())
	})
}

// Many environments whose pushes are refused slowly, one after the other, are no
// reason for a restart: each refusal is a step.
func TestSlowRefusalsOfManyEnvironmentsAreNotStuck(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		turn := make(chan struct{}, 1)
		var environments []lane.Environment
		for i := range 20 {
			name := fmt.Sprintf("env-%d", i)
			environments = append(environments, lane.Environment{Name: name})
			s.acceptIn(name, "api 1")
			s.writer.then(func(context.Context, []gitops.WriteTask) (gitops.WriteResult, error) {
				turn <- struct{}{}
				time.Sleep(50 * time.Second) // of the fake clock
				s.writer.makesStep()
				<-turn
				return gitops.WriteResult{}, errGitDown
			})
		}
		r := s.with(lane.Config{Environments: environments})
		r.Start()
		for range 16 {
			elapse(time.Minute)
			if environment, stuck := r.Stuck(); stuck {
				t.Errorf("%s is stuck", environment)
			}
		}
		r.Stop(t.Context())
	})
}

// A store that never answers is no fault of the writer's.
func TestStuckSeesAStoreThatNeverAnswers(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		hang := make(chan struct{})
		s.queue.hang = map[string]chan struct{}{"Take": hang}
		s.Start()
		elapse(4 * time.Minute)
		if environment, stuck := s.Stuck(); environment != "dev" || !stuck {
			t.Error("not stuck")
		}
		close(hang)
		s.Stop(t.Context())
	})
}

func TestAnIdleLaneIsNotStuck(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.Start()
		elapse(24 * time.Hour)
		if _, stuck := s.Stuck(); stuck {
			t.Error("stuck")
		}
		s.Stop(t.Context())
	})
}
