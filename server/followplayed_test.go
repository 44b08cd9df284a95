package server

import (
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/argocd/argocdtest"
	"github.com/tallyman-dev/tallyman/server/follow"
)

func TestStoryOfASyncWindowThatOpens(t *testing.T) {
	tell(t, argocdtest.Behaviour{WindowClosed: true}, func(s *story) {
		id := s.write("v2")
		s.after(time.Minute, id, gitops.RolloutWaiting, "a sync window of the project keeps Argo CD from syncing it")
		s.change(func(b *argocdtest.Behaviour) { b.WindowClosed = false })
		s.after(4*time.Minute, id, gitops.RolloutHealthy, "")
	})
}

func TestStoryOfAutomatedSyncThatIsDisabled(t *testing.T) {
	tell(t, argocdtest.Behaviour{WindowClosed: true}, func(s *story) {
		id := s.write("v2")
		s.after(time.Minute, id, gitops.RolloutWaiting, "")
		s.change(func(b *argocdtest.Behaviour) { b.WindowClosed, b.Manual = false, true })
		s.after(3*time.Hour, id, gitops.RolloutPerson, "automated sync is off")
		s.failover()
		s.after(3*time.Hour, id, gitops.RolloutPerson, "automated sync is off")
		s.app.SyncNow()
		s.after(time.Minute, id, gitops.RolloutHealthy, "")
	})
}

// The sync of another revision never ends: it is named, and the deadline ends it.
func TestStoryOfASyncThatNeverEnds(t *testing.T) {
	tell(t, argocdtest.Behaviour{SyncHangs: true}, func(s *story) {
		first := s.write("v2")
		s.after(time.Minute, first, gitops.RolloutSyncing, "")
		second := s.write("v3")
		s.after(time.Minute, first, gitops.RolloutSuperseded, "v3 was written after it")
		s.after(0, second, gitops.RolloutWaiting, "blocked by the sync of 000000")
		s.after(15*time.Minute, second, gitops.RolloutTimedOut, "did not run within 15m: it is waiting, blocked by the sync of")
	})
}

func TestStoryOfAHookThatFails(t *testing.T) {
	tell(t, argocdtest.Behaviour{PostSync: 30 * time.Second, HookFails: "the smoke test failed"}, func(s *story) {
		id := s.write("v2")
		s.after(20*time.Second, id, gitops.RolloutSyncing, "") // Synced and Healthy
		s.after(30*time.Second, id, gitops.RolloutSyncFailed, "the smoke test failed")
	})
	tell(t, argocdtest.Behaviour{PostSync: 30 * time.Second}, func(s *story) {
		s.after(50*time.Second, s.write("v2"), gitops.RolloutHealthy, "")
	})
}

func TestStoryOfARolloutThatIsPaused(t *testing.T) {
	for name, play := range map[string]func(s *story, id string){
		"promoted": func(s *story, id string) {
			s.app.Promote()
			s.after(time.Minute, id, gitops.RolloutHealthy, "")
		},
		"aborted": func(s *story, id string) {
			s.app.Abort()
			s.after(20*time.Second, id, gitops.RolloutDegraded, "RolloutAborted")
		},
		"aborted, for the next replica": func(s *story, id string) {
			s.failover()
			s.app.Abort()
			s.after(time.Minute, id, gitops.RolloutDegraded, "RolloutAborted")
		},
		"in the place of another": func(s *story, id string) {
			s.change(func(b *argocdtest.Behaviour) { b.Pauses = false })
			next := s.write("v3")
			s.after(time.Minute, id, gitops.RolloutSuperseded, "v3 was written after it")
			s.after(0, next, gitops.RolloutHealthy, "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			tell(t, argocdtest.Behaviour{Pauses: true}, func(s *story) {
				id := s.write("v2")
				s.after(time.Hour, id, gitops.RolloutPaused, "")
				play(s, id)
			})
		})
	}
}

func TestStoryOfAControllerThatIsDown(t *testing.T) {
	tell(t, argocdtest.Behaviour{}, func(s *story) {
		start := s.argo.StopController()
		id := s.write("v2")
		s.after(15*time.Minute-time.Second, id, gitops.RolloutUnknown, "has not compared since")
		s.after(time.Hour, id, gitops.RolloutUnknown, "has not compared since")
		s.failover()
		s.after(time.Hour, id, gitops.RolloutUnknown, "")
		start()
		s.after(2*time.Minute, id, gitops.RolloutHealthy, "")
	})
}

// It goes down when the commit was seen, and before that was applied.
func TestStoryOfAControllerThatGoesDown(t *testing.T) {
	tell(t, argocdtest.Behaviour{Rollout: time.Minute}, func(s *story) {
		id := s.write("v2")
		s.after(10*time.Second, id, gitops.RolloutProgressing, "")
		start := s.argo.StopController()
		s.after(time.Hour, id, gitops.RolloutUnknown, "has not compared since")
		start()
		s.after(2*time.Minute, id, gitops.RolloutHealthy, "")
	})
}

func TestStoryOfATokenThatIsReplaced(t *testing.T) {
	tell(t, argocdtest.Behaviour{Rollout: time.Minute}, func(s *story) {
		old := s.argo.Token("myshop")
		s.token(old)
		id := s.write("v2")
		s.after(10*time.Second, id, gitops.RolloutProgressing, "")
		s.argo.Revoke(old)
		s.after(time.Hour, id, gitops.RolloutUnknown, "the token in tokenFile is not accepted")
		s.token(s.argo.Token("myshop"))
		s.after(70*time.Second, id, gitops.RolloutHealthy, "")
	})
}

func TestStoryOfAGitServerThatIsAwayForTallymanAlone(t *testing.T) {
	tell(t, argocdtest.Behaviour{}, func(s *story) {
		s.gitIs(true)
		id := s.write("v2")
		s.commit("v2") // of others: now git must be asked
		s.after(time.Hour, id, gitops.RolloutUnknown, "cannot be compared with git")
		s.gitIs(false)
		s.after(time.Minute, id, gitops.RolloutHealthy, "")
	})
}

func TestStoryOfABranchThatIsForced(t *testing.T) {
	tell(t, argocdtest.Behaviour{WindowClosed: true}, func(s *story) {
		id := s.write("v2")
		s.after(time.Minute, id, gitops.RolloutWaiting, "")
		s.force()
		s.app.Push(commitOf(9), "v1")
		s.after(5*time.Minute, id, gitops.RolloutWaiting, "the branch was pushed by force")
		s.after(10*time.Minute, id, gitops.RolloutTimedOut, "the branch was pushed by force")
	})
}

func TestStoryOfARevertByHand(t *testing.T) {
	tell(t, argocdtest.Behaviour{Rollout: time.Minute}, func(s *story) {
		id := s.write("v2")
		s.after(10*time.Second, id, gitops.RolloutProgressing, "")
		s.commit("v1")
		s.after(30*time.Second, id, gitops.RolloutSuperseded, "the file has another tag at")
	})
}

func TestStoryOfANewerUpdateInEachState(t *testing.T) {
	for name, b := range map[string]argocdtest.Behaviour{
		"waiting": {WindowClosed: true}, "person": {Manual: true}, "progressing": {Rollout: time.Hour}, "paused": {Pauses: true},
		"unrendered": {Unrenderable: "no YAML"}, "syncing": {Sync: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			tell(t, b, func(s *story) {
				first := s.write("v2")
				time.Sleep(time.Minute)
				s.failover()
				second := s.write("v1") // back, by a person
				s.after(time.Second, first, gitops.RolloutSuperseded, "v1 was written after it")
				s.change(func(b *argocdtest.Behaviour) { *b = argocdtest.Behaviour{} })
				third := s.write("v3")
				s.after(time.Second, second, gitops.RolloutSuperseded, "v3 was written after it")
				s.after(0, first, gitops.RolloutSuperseded, "v1 was written after it")
				if name != "syncing" { // whose operation goes on
					s.after(5*time.Minute, third, gitops.RolloutHealthy, "")
				}
			})
		})
	}
}

func TestStoryOfTheSameTagAgain(t *testing.T) {
	tell(t, argocdtest.Behaviour{Rollout: time.Minute}, func(s *story) {
		first := s.write("v2")
		time.Sleep(10 * time.Second)
		second := s.write("v2")
		s.after(2*time.Minute, first, gitops.RolloutHealthy, "")
		s.after(0, second, gitops.RolloutHealthy, "")
	})
}

// The entry that asks is replaced by one with another address, and then there is none.
func TestStoryOfAnInstanceThatIsRenamed(t *testing.T) {
	tell(t, argocdtest.Behaviour{Rollout: 2 * time.Minute}, func(s *story) {
		id := s.write("v2")
		s.after(10*time.Second, id, gitops.RolloutProgressing, "")
		s.reload(func(c *storySite) {
			c.all = []*argoCD{s.connect(s.argo, "https://cd.example")}
			c.how.Timeout = time.Hour
		})
		s.after(30*time.Second, id, gitops.RolloutProgressing, "")
		s.reload(func(c *storySite) { c.all = nil })
		s.after(2*time.Minute, id, gitops.RolloutProgressing, "")
		s.reload(func(c *storySite) { c.all = []*argoCD{s.connect(s.argo, "https://argocd.example")} })
		s.after(time.Minute, id, gitops.RolloutHealthy, "")
		s.change(func(b *argocdtest.Behaviour) { b.Rollout = 3 * time.Hour })
		id = s.write("v3")
		s.after(time.Minute, id, gitops.RolloutProgressing, "")
		s.reload(func(c *storySite) { c.how.By = follow.ByReports })
		s.after(time.Hour, id, gitops.RolloutTimedOut, "did not run within 1h")
	})
}

// An Application that is made a minute later, and one that is renamed.
func TestStoryOfApplicationsThatComeAndGo(t *testing.T) {
	tell(t, argocdtest.Behaviour{Rollout: time.Hour}, func(s *story) {
		s.argo.Delete(argocdtest.Namespace, "api")
		id := s.write("v2")
		s.after(50*time.Second, id, gitops.RolloutWaiting, "")
		s.app = s.deploy("api-late", argocdtest.Behaviour{Rollout: time.Hour})
		s.app.Push(commitOf(1), "v2")
		s.after(25*time.Second, id, gitops.RolloutProgressing, "")
		s.argo.Delete(argocdtest.Namespace, "api-late")
		s.app = s.deploy("api-renamed", argocdtest.Behaviour{})
		s.app.Push(commitOf(1), "v2")
		s.after(time.Minute, id, gitops.RolloutHealthy, "")
	})
}
