package follow

import "time"

// Argo CD reads Kubernetes for each request, under a limit of its own of 50 a second, which
// people's pages need, too. A refresh has it render manifests, so few are under way at once.
const (
	perSecond  = 10
	burst      = 5  // of these may begin at once; then they come evenly
	atOnce     = 16 // requests under way of one instance
	refreshes  = 5  // of these
	begunLooks = 32 // looks that lack something: each keeps an Application and its tree
)

// pace says when an instance may be asked. It is pure.
type pace struct {
	starts     [perSecond]time.Time // of the last requests, in a ring
	oldest     int                  // of starts
	under      int                  // requests under way
	refreshing int                  // of them
	until      time.Time            // it is to be left alone until then
}

// at is when the next request may begin. It is not ok while it depends on the end of another:
// an instance that failed is tried by one at a time.
func (p *pace) at(refresh, failed bool) (at time.Time, ok bool) {
	if p.under >= atOnce || failed && p.under > 0 || refresh && p.refreshing >= refreshes {
		return at, false
	}
	at = p.until
	if first := p.ago(perSecond); !first.IsZero() && first.Add(time.Second).After(at) {
		at = first.Add(time.Second)
	}
	if last := p.ago(1); p.ago(burst).Add(time.Second).After(last) && last.Add(time.Second/perSecond).After(at) {
		at = last.Add(time.Second / perSecond)
	}
	return at, true
}

// ago is when the nth last request began; zero where there was none.
func (p *pace) ago(n int) time.Time { return p.starts[(p.oldest+perSecond-n)%perSecond] }

// begin notes the beginning of a request.
func (p *pace) begin(now time.Time, refresh bool) {
	p.starts[p.oldest] = now
	p.oldest = (p.oldest + 1) % perSecond
	p.under++
	if refresh {
		p.refreshing++
	}
}

// end notes its end.
func (p *pace) end(refresh bool) {
	p.under--
	if refresh {
		p.refreshing--
	}
}
