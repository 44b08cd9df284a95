package manifest

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"
)

// The two services of git's protocol (gitprotocol-pack(5)).
const (
	uploadPack  = "git-upload-pack"
	receivePack = "git-receive-pack"
)

// remote is the repository on its server. It belongs to the actor, which makes
// one call at a time.
//
// What holds for each of them, however the server is reached:
//
//   - A call ends within its [Timeouts] and with its context, and takes no more
//     from the server than the caps of this package.
//   - The connection is kept from one call to the next. When it is found dead
//     before the server can have acted on the call, it is made anew, once.
//   - No credentials go to another host than the configured one.
//   - An error says what happened as far as it is known; remoteError turns it
//     into what a caller of the Writer is told. What refusedOutright says of it
//     is true: git did not see the call.
type remote interface {
	// refs asks what the repository has, as one of the two services sees it. Being
	// answered for receive-pack proves the right to push.
	refs(ctx context.Context, service, branch string) (advertisement, error)

	// fetch brings objects. An error that is a [*pktline.ErrorLine] is the server's
	// own: it does not have what was asked for, or does not give it.
	fetch(ctx context.Context, w wanted, held packSource) (map[hash]object, error)

	// push asks the server to take a pack and to move the branch, if it is still
	// where the update says. Nil means that the server reported success for the
	// pack and for the branch. A [*refusal] is the server's no, and a
	// [*behindError] says that the branch was seen elsewhere and nothing was sent;
	// after any other error that is not refused outright the push may have
	// happened, now or a little later.
	push(ctx context.Context, u refUpdate) error

	// close frees the connections. It waits for answers that are still being read,
	// which end with their call's time at the latest.
	close()
}

// behindError says that the branch is not where a push would have moved it from.
type behindError struct{ seen advertisement }

func (e *behindError) Error() string { return "the branch is at " + e.seen.tip.String() }

// readCapped reads to the end, so that the connection can be used again.
func readCapped(body io.Reader, limit int64) ([]byte, error) {
	answer, err := io.ReadAll(io.LimitReader(body, limit+1))
	switch {
	case err != nil:
		return answer, fmt.Errorf("reading the server's answer: %w", err)
	case int64(len(answer)) > limit:
		return nil, errTooMuch
	}
	return answer, nil
}

// agent is how we introduce ourselves, in HTTP and in git's protocol.
const agent = "tallyman"

// closeWait is how long closing waits for what a server still has to say after a
// push has landed: to hang up on a hook may end it, and a process that is told to
// stop has little time.
const closeWait = time.Second

func waitBriefly(draining *sync.WaitGroup) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		draining.Wait()
	}()
	select {
	case <-done:
	case <-time.After(closeWait):
	}
}
