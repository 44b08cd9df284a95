package limits

import (
	"io"
	"net/http"
	"sync"

	"github.com/tallyman-dev/tallyman/gitops"
)

const (
	freeBody = 16 << 10 // bytes of each that are not counted, for they are the connection's: more than most have
	bodyCost = 2        // a larger one takes up to twice what has come of it: its buffer grows by doubling
)

// bodyBudget bounds the memory of bodies that are not authenticated yet. One
// address gets a quarter of it, so that one that sends large bodies slowly leaves room
// for the others; and a quarter is kept for clients that were authenticated lately.
type bodyBudget struct {
	most, each int64
	isKnown    func(client string) bool

	mu    sync.Mutex
	held  int64
	holds map[string]int64 // by address, without zeros
}

func newBodyBudget(most int64, isKnown func(client string) bool) *bodyBudget {
	return &bodyBudget{most: most, each: most / 4, isKnown: isKnown, holds: make(map[string]int64)}
}

func (b *bodyBudget) take(key string, n int64) bool {
	most := b.most
	if !b.isKnown(key) {
		most -= most / 4
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held+n > most || b.holds[key]+n > b.each {
		return false
	}
	b.held += n
	b.holds[key] += n
	return true
}

func (b *bodyBudget) give(key string, n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held -= n
	if b.holds[key] -= n; b.holds[key] == 0 {
		delete(b.holds, key)
	}
}

// limit counts what is read of a body until its request is answered.
func (b *bodyBudget) limit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == nil || r.Body == http.NoBody {
			next.ServeHTTP(w, r)
			return
		}
		body := &countedBody{ReadCloser: r.Body, of: b, key: clientKey(r)}
		r.Body = body
		defer body.done()
		next.ServeHTTP(w, r)
	})
}

// countedBody is read by one goroutine.
type countedBody struct {
	io.ReadCloser
	of    *bodyBudget
	key   string
	read  int64
	taken int64

	broken bool // it ended before its end
}

// Read errs with Unavailable when there is no room.
func (c *countedBody) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.read += int64(n)
	c.broken = c.broken || err != nil && err != io.EOF
	if c.read <= freeBody {
		return n, err
	}
	if over := bodyCost*c.read - freeBody - c.taken; over > 0 {
		if !c.of.take(c.key, over) {
			return 0, gitops.Errorf(gitops.Unavailable, "too many large bodies are coming in at once: send it again")
		}
		c.taken += over
	}
	return n, err
}

func (c *countedBody) done() {
	if c.taken > 0 {
		c.of.give(c.key, c.taken)
	}
}
