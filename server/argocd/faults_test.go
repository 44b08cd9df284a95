package argocd_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/argocd"
	"github.com/tallyman-dev/tallyman/server/argocd/argocdtest"
)

// Traps argo-cd#13000, #21695: 403 is what is forbidden and what is not there, so it is never
// taken for gone; 404 is, where the project is named.
func TestTrapForbiddenIsNotGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.app("api", argocdtest.Behaviour{})
		if e := wants(t, s.get("no-such"), gitops.NotFound, "not found", "myshop/argocd/no-such"); e.RetryAfter != 0 {
			t.Errorf("what is not there is asked for again in %s", e.RetryAfter)
		}
		s.argo.MayGet(s.token)
		wants(t, s.get("api"), gitops.Forbidden, "forbidden or not there", "permission denied")
		wants(t, s.get("no-such"), gitops.Forbidden)
		s.argo.MayGet(s.token, "myshop")
		if err := s.get("api"); err != nil {
			t.Errorf("after the right is back: %v", err) // it opened no breaker
		}
		s.argo.Delete("", "api")
		wants(t, s.get("api"), gitops.NotFound)
		_, err := s.client.Application(context.Background(), argocd.Ref{Project: "myshop", Namespace: "kube-system", Name: "api"}, false)
		wants(t, err, gitops.Forbidden) // a namespace that is not served
	})
}

// A 404 that is not from Argo CD's API, such as a proxy's, says nothing of the Application.
func TestTrapAProxysNotFoundIsNotGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.app("api", argocdtest.Behaviour{})
		for _, status := range []int{http.StatusNotFound, http.StatusForbidden, http.StatusOK} {
			s.argo.Fail(argocdtest.Fault{Status: status, Proxy: true, Times: 1})
			wants(t, s.get("api"), gitops.Unavailable)
			time.Sleep(time.Minute)
		}
	})
}

// Traps argo-cd#20106, #24807: a rejected token is tried once a minute, and at once when
// there is a new one.
func TestTrapARejectedTokenDoesNotLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.app("api", argocdtest.Behaviour{})
		s.argo.Revoke(s.token)
		for range 120 { // for four minutes
			e := wants(t, s.get("api"), gitops.Unauthorized, "does not have token with id gone")
			if contains(e.Error(), s.token) || contains(e.Message, s.file) || !contains(e.Error(), s.file) {
				t.Fatalf("%v shows the token, or the file to those who need not know, or not to the log", e)
			}
			time.Sleep(2 * time.Second)
		}
		if n := len(s.argo.Requests()); n != 4 {
			t.Errorf("%d requests within 4 minutes", n)
		}
		s.writeToken(s.argo.Token("myshop"))
		if err := s.get("api"); err != nil {
			t.Errorf("with a new token: %v", err)
		}
		if lines := s.log.Lines(); len(lines) != 2 || !contains(lines[0], "Argo CD cannot be asked") || !contains(lines[1], "Argo CD answers again") || contains(strings.Join(lines, ""), s.token) {
			t.Errorf("the log is %v", lines)
		}
		if got := s.recorder.String(); got != "map[argocd.myshop.example ok:1 argocd.myshop.example unauthorized:4]" {
			t.Errorf("counted are %s", got)
		}
	})
}

// What says that the instance is away pauses all requests, for longer each time, and one that
// is answered ends that.
func TestAnInstanceThatIsAwayIsLeftAlone(t *testing.T) {
	for name, c := range map[string]struct {
		fault argocdtest.Fault
		code  gitops.Code
		words string
	}{
		"503":             {argocdtest.Fault{Status: http.StatusServiceUnavailable}, gitops.Unavailable, "answers with status 503: a fault of the test"},
		"500":             {argocdtest.Fault{Status: http.StatusInternalServerError}, gitops.Unavailable, "answers with status 500"},
		"502 of a proxy":  {argocdtest.Fault{Status: http.StatusBadGateway, Proxy: true}, gitops.Unavailable, "answers with status 502"},
		"429":             {argocdtest.Fault{Status: http.StatusTooManyRequests}, gitops.RateLimited, "rate limited"},
		"no answer":       {argocdtest.Fault{Drop: true}, gitops.Unavailable, "connection failed"},
		"a login page":    {argocdtest.Fault{Status: http.StatusOK, Proxy: true}, gitops.Unavailable, "past every login page"},
		"an answer's end": {argocdtest.Fault{CutOff: true}, gitops.Unavailable, "cut off"},
		"a redirect":      {argocdtest.Fault{Redirect: "https://me:hush@login.example/sign-in?token=hush#x"}, gitops.Unavailable, "redirects to https://login.example/sign-in,"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t)
				s.app("api", argocdtest.Behaviour{})
				lift := s.argo.Fail(c.fault)
				began := time.Now()
				for time.Since(began) < 10*time.Minute {
					e := wants(t, s.get("api"), c.code, c.words)
					if contains(e.Error(), "hush") {
						t.Fatalf("%v shows a secret", e)
					}
					if e.RetryAfter <= 0 || e.RetryAfter > time.Minute {
						t.Fatalf("it is left alone for %s", e.RetryAfter)
					}
					time.Sleep(500 * time.Millisecond)
				}
				requests := s.argo.Requests() // 1, 2, 4 ... 32, 60, 60 s
				if len(requests) < 14 || len(requests) > 16 {
					t.Errorf("%d requests within 10 minutes", len(requests))
				}
				if pause := requests[1].At.Sub(requests[0].At); pause < time.Second || pause > 2*time.Second {
					t.Errorf("the first pause is %s", pause)
				}
				lift()
				time.Sleep(time.Minute)
				if err := s.get("api"); err != nil {
					t.Errorf("afterwards: %v", err)
				}
				if err := s.get("api"); err != nil {
					t.Errorf("and then: %v", err)
				}
			})
		})
	}
}

// Of many that were under way together one failure counts, and after the pause one of all
// who ask tries the instance.
func TestOneTriesAnInstanceThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.app("api", argocdtest.Behaviour{})
		s.argo.Fail(argocdtest.Fault{Hang: true, Times: 5})
		all := func() (failed int) {
			results := make(chan error, 5)
			for range 5 {
				go func() { results <- s.get("api") }()
			}
			for range 5 {
				if <-results != nil {
					failed++
				}
			}
			return failed
		}
		if failed := all(); failed != 5 {
			t.Errorf("%d failed", failed)
		}
		if e := wants(t, s.get("api"), gitops.Unavailable, "does not answer within 10s"); e.RetryAfter != time.Second {
			t.Errorf("5 failures pause it for %s", e.RetryAfter)
		}
		time.Sleep(time.Second)
		s.argo.Fail(argocdtest.Fault{Hang: true, Times: 1})
		if failed := all(); failed != 5 {
			t.Errorf("%d failed", failed)
		}
		if n := len(s.argo.Requests()); n != 6 {
			t.Errorf("%d requests", n)
		}
	})
}

func TestRetryAfterIsObeyed(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"90": 90 * time.Second, "86400": 15 * time.Minute, "0": time.Second, "-5": time.Second, "soon": time.Second,
		time.Date(2000, 1, 1, 0, 2, 0, 0, time.UTC).Format(http.TimeFormat): 2 * time.Minute, // a bubble begins in 2000
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t)
			s.app("api", argocdtest.Behaviour{})
			s.argo.Fail(argocdtest.Fault{Status: http.StatusTooManyRequests, RetryAfter: value, Times: 1})
			wants(t, s.get("api"), gitops.RateLimited)
			if e := wants(t, s.get("api"), gitops.RateLimited); e.RetryAfter != want {
				t.Errorf("Retry-After %s: %s", value, e.RetryAfter)
			}
			time.Sleep(want)
			if err := s.get("api"); err != nil {
				t.Error(err)
			}
		})
	}
}

// A controller that is down has refreshes hang. That is no fault of the instance: the others
// go on being asked.
func TestARefreshThatIsNotCompared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.app("api", argocdtest.Behaviour{})
		start := s.argo.StopController()
		_, err := s.client.Application(context.Background(), ref("api"), true)
		if e := wants(t, err, gitops.Unavailable, "not compared within 10s", "application controller"); e.RetryAfter != 0 {
			t.Errorf("the instance is blamed for %s", e.RetryAfter)
		}
		if !errors.Is(err, argocd.ErrNotCompared) {
			t.Errorf("%v is not ErrNotCompared", err)
		}
		if err := s.get("api"); err != nil || errors.Is(err, argocd.ErrNotCompared) {
			t.Errorf("without a refresh: %v", err)
		}
		start()
		if _, err := s.client.Application(context.Background(), ref("api"), true); err != nil {
			t.Error(err)
		}
	})
}

// One Application whose cluster is away does not keep the others from being asked.
func TestAnAnswerOfOneClusterIsNotTheInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.app("api", argocdtest.Behaviour{})
		s.argo.Fail(argocdtest.Fault{Path: "/resource-tree", Status: http.StatusInternalServerError})
		_, err := s.client.Tree(context.Background(), ref("api"))
		wants(t, err, gitops.Unavailable, "status 500")
		if err := s.get("api"); err != nil {
			t.Error(err)
		}
		all, err := s.client.ManagedResources(context.Background(), ref("api"), "", "")
		if err != nil || len(all) != 1 {
			t.Errorf("%v, %v", all, err)
		}
		s.argo.Fail(argocdtest.Fault{Path: "/syncwindows", Status: http.StatusBadRequest})
		_, err = s.client.SyncWindows(context.Background(), ref("api"))
		wants(t, err, gitops.Rejected, "rejected: a fault of the test", "sync windows of myshop/argocd/api")
	})
}

// A namespace that the project does not allow.
func TestAnApplicationThatItsProjectDoesNotAllow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.argo.AllowNamespace("other", "team-a")
		s.argo.Add(argocdtest.App{Project: "myshop", Namespace: "team-a", Name: "api", Image: image, Revision: before, Tag: "v1", Sources: []argocdtest.Source{{RepoURL: manifests}}})
		_, err := s.client.Application(context.Background(), argocd.Ref{Project: "myshop", Namespace: "team-a", Name: "api"}, false)
		wants(t, err, gitops.Rejected, "app is not allowed in project")
	})
}

// Who gives up is told so, and the instance is not blamed.
func TestACallerGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.app("api", argocdtest.Behaviour{})
		s.argo.Fail(argocdtest.Fault{Hang: true, Times: 1})
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err := s.client.Application(ctx, ref("api"), false)
		if wants(t, err, gitops.Unavailable); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if err := s.get("api"); err != nil {
			t.Errorf("the next: %v", err)
		}
	})
}

// Whoever tries an instance after a pause and gives up leaves that to the next.
func TestATrialIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.app("api", argocdtest.Behaviour{})
		s.argo.Fail(argocdtest.Fault{Status: http.StatusServiceUnavailable, Times: 1})
		s.argo.Fail(argocdtest.Fault{Hang: true, Times: 1})
		s.argo.Fail(argocdtest.Fault{Slow: 9 * time.Second, Times: 1})
		wants(t, s.get("api"), gitops.Unavailable)
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err := s.client.Application(ctx, ref("api"), false)
		wants(t, err, gitops.Unavailable, "was not asked to the end")
		if err := s.get("api"); err != nil {
			t.Errorf("the next, which is slow: %v", err)
		}
	})
}
