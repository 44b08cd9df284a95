package registry

import (
	"bytes"
	"context"
	"io"

	"github.com/tallyman-dev/tallyman/gitops"
)

// What answers may take of this process's memory. Whoever may push an image decides how large
// what belongs to it is, and many are looked at at once. A short text can stand for very much:
// a megabyte of "{}," is a list of 350,000 manifests, 200 bytes each.
const (
	maxManifest = 4 << 20   // what the specification demands of registries (v1.1, "Pushing manifests")
	maxTagPage  = 4 << 20   // old registries answer with all tags at once
	maxTags     = 200_000   // in one page
	maxValues   = 10_000    // in a manifest: a large index has some hundred
	maxQuestion = 6 << 20   // all answers to one question
	small       = 128 << 10 // what is more is read for one question at a time, of all registries
)

// Memory is what all that is kept of answers takes at most, where 16 questions are asked of one
// registry; small ones of another add to it.
const Memory = maxQuestion + 16*small

// reading is what has been read for one question, or of one page of tags. It belongs to the
// goroutine that asks.
type reading struct {
	large chan struct{} // holds a value while a question has more than small answers
	holds bool          // it is this one's
	bytes int
}

type readingKey struct{}

// withReading has all answers count together. It is to be ended.
func (c *Client) withReading(ctx context.Context) (context.Context, *reading) {
	r := &reading{large: c.shared.large}
	return context.WithValue(ctx, readingKey{}, r), r
}

// take counts bytes, and waits for its turn where they are many.
func (r *reading) take(ctx context.Context, bytes int) error {
	if r.bytes += bytes; r.bytes <= small || r.holds {
		return nil
	}
	select {
	case r.large <- struct{}{}:
		r.holds = true
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// end gives the turn back.
func (r *reading) end() {
	if r.holds {
		r.holds = false
		<-r.large
	}
}

// boundedBody is an answer's body, whose time ends with it.
type boundedBody struct {
	io.ReadCloser
	ctx       context.Context
	cancel    context.CancelFunc
	host      *host
	operation string
	of        *reading
	own       bool // the reading is of this answer alone
	values    int
}

// Read implements io.Reader.
func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.values += bytes.Count(p[:n], []byte{','})
	if problem := b.count(n); problem != nil {
		return n, problem
	}
	if err != nil && b.own {
		b.of.end()
	}
	return n, err
}

// count says what is too much.
func (b *boundedBody) count(n int) error {
	if err := b.of.take(b.ctx, n); err != nil {
		return err
	}
	most := maxValues
	switch b.operation {
	case opTags:
		most = maxTags
	case opBlob, opToken: // of a blob some values are taken, and of a token's answer, however many there are
		most = b.values
	}
	switch {
	case b.values > most:
		return gitops.Errorf(gitops.Unavailable, "registry %s answered with more than %d values at once", b.host.name, most)
	case !b.own && b.of.bytes > maxQuestion:
		return gitops.Errorf(gitops.Unavailable, "registry %s answered with more than %d MiB about one image", b.host.name, maxQuestion>>20)
	}
	return nil
}

// Close implements io.Closer.
func (b *boundedBody) Close() error {
	defer b.cancel()
	if b.own {
		b.of.end()
	}
	err := b.ReadCloser.Close()
	if b.host.shared.closed.Load() { // this request has had its connection kept again
		b.host.closeIdle()
	}
	return err
}
