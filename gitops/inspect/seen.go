package inspect

import (
	"context"
	"log/slog"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/image"
)

// storeTime is how long a read of the store may take.
const storeTime = 10 * time.Second

// unread is an answer that nothing is told of before it is known which images its tag
// named: it may be another one than before.
type unread struct {
	look   *look
	answer image.Answer
}

// readSeen has the seen images of an answer read, with those of all others of its
// repository that come until the read begins.
func (r *Room) readSeen(u unread) {
	r.addUnread(u.look.question.Repository, u)
	if !r.reading {
		r.reading = true
		r.work.Go(r.readAll)
	}
}

// addUnread has answers of a repository read, after those of others that wait already.
func (r *Room) addUnread(repository string, batch ...unread) {
	if len(r.unread[repository]) == 0 {
		r.unreadOrder = append(r.unreadOrder, repository)
	}
	r.unread[repository] = append(r.unread[repository], batch...)
}

// readAll reads until all is read.
func (r *Room) readAll() {
	var out *outage
	for {
		repository, batch := r.nextUnread()
		if batch == nil {
			return
		}
		err := r.read(repository, batch)
		if err == nil {
			out = nil
			continue
		}
		out = out.fails(errorOf(err), r.Now())
		if out.failures == 1 {
			r.Logger.Warn("cannot read which images were seen, updates wait", slog.String("error", err.Error()))
		}
		select {
		case <-time.After(out.until.Sub(out.failed)):
		case <-r.ctx.Done():
		}
	}
}

// nextUnread takes all answers of a repository; none when there are no more, or the room is
// closed: then the reading has ended.
func (r *Room) nextUnread() (repository string, batch []unread) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() == nil && len(r.unreadOrder) > 0 {
		repository, r.unreadOrder = r.unreadOrder[0], r.unreadOrder[1:]
		batch = r.unread[repository]
		delete(r.unread, repository)
		return repository, batch
	}
	r.reading = false
	return "", nil
}

// read reads what was seen of a batch's tags, and tells of the answers. After an error they
// are unread again.
func (r *Room) read(repository string, batch []unread) error {
	tags := make([]string, len(batch))
	for i, u := range batch {
		tags[i] = u.look.question.Tag
	}
	ctx, cancel := context.WithTimeout(r.ctx, storeTime)
	defer cancel()
	seen, err := r.Seen.SeenImages(ctx, repository, tags)

	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.addUnread(repository, batch...)
		return err
	}
	byTag := make(map[string][]gitops.SeenImage)
	for _, s := range seen {
		byTag[s.Tag] = append(byTag[s.Tag], s)
	}
	now := r.Now()
	touched := make(map[*host]bool)
	for _, u := range batch {
		r.settle(u.look, u.answer, byTag[u.look.question.Tag], now)
		touched[u.look.host] = true
	}
	for h := range touched {
		r.dispatch(h, now)
	}
	return nil
}
