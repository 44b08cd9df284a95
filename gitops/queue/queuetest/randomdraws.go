package queuetest

import (
	"time"

	"github.com/tallyman-dev/tallyman/gitops/queue"
)

func (r *player) seconds(most int) time.Duration { return time.Duration(1+r.IntN(most)) * time.Second }

func (r *player) one(of ...string) string { return of[r.IntN(len(of))] }

func oneOf[E any](r *player, of ...E) E { return of[r.IntN(len(of))] }

// scope is somebody's, with areas that overlap now and then; nil is everything.
func (r *player) scope() *queue.Scope {
	if r.IntN(3) == 0 {
		return nil
	}
	s := &queue.Scope{Principal: r.one("", "dispatch:1", "missing")}
	for range r.IntN(3) {
		s.Areas = append(s.Areas, queue.Area{Environment: r.one("", r.environment()), App: r.one("", "app-0", "App-1")})
	}
	return s
}

func (r *player) environment() string { return r.one("dev", "staging", "Prod") }

// names are one or several of those that can be claimed.
func (r *player) names() []string {
	all := []string{"dev", "staging", "Prod", "job/missed"}
	r.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
	return all[:1+r.IntN(3)]
}

// targets are up to three different ones.
func (r *player) targets() (targets []string) {
	for _, i := range r.Perm(9)[:r.IntN(4)] {
		targets = append(targets, []string{"dev", "staging", "Prod"}[i/3]+"/"+[]string{"app-0", "App-1", "app-2"}[i%3])
	}
	return targets
}
