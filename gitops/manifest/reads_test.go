package manifest

import (
	"errors"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// Each way in which looking at the branch or fetching it can go wrong, once with
// git having been asked and once without: nothing is settled, and nothing is
// spoiled for the next call.
func TestAReadThatWentWrongCostsNothing(t *testing.T) {
	t.Parallel()
	released := make(chan struct{})
	t.Cleanup(func() { close(released) })
	faults := map[string]gitserver.Fault{
		"cut":               {Cut: true},
		"500":               {Status: 500},
		"200 and nothing":   {Status: 200},
		"no answer in time": {Hold: released, Status: 200},
	}
	for _, on := range []gitserver.Operation{gitserver.PushRefs, gitserver.FetchRefs, gitserver.Fetch} {
		for name, fault := range faults {
			for _, asked := range []bool{false, true} {
				o := newOrigin(t)
				w := o.writer(func(c *Config) {
					if fault.Hold != nil {
						c.Timeouts.Refs, c.Timeouts.Fetch = 300*time.Millisecond, 300*time.Millisecond
					}
				})
				fault.On, fault.Apply, fault.Times = on, asked, -1
				o.server.Inject(fault)
				u := o.update("dev", "shop", "main-0000001")
				if settled, err := writeAll(t.Context(), w, u); gitops.CodeOf(err) != gitops.Unavailable || len(settled) != 0 {
					t.Errorf("%s of %s, asked %t: got %v and %v, want nothing and unavailable", name, on, asked, settled, err)
				}
				o.server.Heal()
				o.check(writeUntilSettled(t, w, []gitops.Update{u})...)
			}
		}
	}
}

// refusing is a network on which nobody listens at the other end, for a while.
type refusing struct{ left int }

func (r *refusing) RoundTrip(request *http.Request) (*http.Response, error) {
	if r.left > 0 {
		r.left--
		return nil, syscall.ECONNREFUSED
	}
	return http.DefaultTransport.RoundTrip(request)
}

func TestAServerThatRefusesConnectionsIsTriedAgain(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	network := &refusing{}
	w := o.writer(func(c *Config) { c.Transport = network })
	if err := w.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	network.left = 2 // the push, and the look at what became of it
	u := o.update("dev", "shop", "main-0000001")
	if settled, err := writeAll(t.Context(), w, u); gitops.CodeOf(err) != gitops.Unavailable || len(settled) != 0 {
		t.Errorf("got %v and %v, want nothing and unavailable", settled, err)
	}
	o.check(o.write(w, u)...)
}

// A proxy may refuse a push that it has passed on. What it says counts for
// as long as nobody has looked; then the branch counts.
func TestARefusalOfAPushThatWasTakenIsFoundOut(t *testing.T) {
	t.Parallel()
	for status, code := range map[int]gitops.Code{401: gitops.Unauthorized, 403: gitops.Forbidden, 404: gitops.NotFound, 429: gitops.RateLimited} {
		for _, taken := range []bool{false, true} {
			o := newOrigin(t)
			w := o.writer()
			if err := w.Handshake(t.Context()); err != nil {
				t.Fatal(err)
			}
			o.server.Inject(gitserver.Fault{On: gitserver.Push, Status: status, Apply: taken})
			u := o.update("dev", "shop", "main-0000001")
			if settled, err := writeAll(t.Context(), w, u); gitops.CodeOf(err) != code || len(settled) != 0 {
				t.Errorf("%d, taken %t: got %v and %v, want nothing and %s", status, taken, settled, err, code)
			}
			o.check(o.write(w, u)...)
		}
	}
}

// The branch is deleted, or every branch of the repository, and is put back: what
// came meanwhile waits, and is written on what is there then.
func TestABranchThatWasDeletedAndPutBack(t *testing.T) { overEach(t, testABranchThatWasDeleted) }

func testABranchThatWasDeleted(t *testing.T, newOrigin origins) {
	for _, left := range []string{"", "refs/heads/other"} {
		o := newOrigin(t)
		w := o.writer()
		first := o.update("dev", "shop", "main-0000001")
		o.check(o.write(w, first)...)
		tip := o.git("rev-parse", "main")
		if left != "" {
			o.git("update-ref", left, tip)
		}
		o.git("update-ref", "-d", "refs/heads/main")
		u := o.update("dev", "shop", "main-0000002")
		settled, err := writeAll(t.Context(), w, u)
		var e *gitops.Error
		if !errors.As(err, &e) || e.Code != gitops.NotFound || !strings.Contains(e.Message, "main") || len(settled) != 0 {
			t.Errorf("got %v and %v, want nothing and that there is no branch main", settled, err)
		}
		o.git("update-ref", "refs/heads/main", tip)
		o.check(o.write(w, u)...)
	}
}
