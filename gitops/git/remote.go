package git

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"
)

// The two services of git's protocol (gitprotocol-pack(5)).
const (
	UploadPack  = "git-upload-pack"
	ReceivePack = "git-receive-pack"
)

// Remote is the repository on its server. It belongs to one goroutine, which
// makes one call at a time.
//
// What holds for each of them, however the server is reached:
//
//   - A call ends within its [Timeouts] and with its context, and takes no more
//     from the server than the limits of this package.
//   - The connection is kept from one call to the next. When it is found dead
//     before the server can have acted on the call, another is made, once.
//   - No credentials go to another host than the configured one.
//   - An error says what happened as far as it is known; [PublicError] turns it
//     into what people are told. What [RejectedBeforeGit] says of it is true: git
//     did not see the call.
type Remote interface {
	// Refs asks what the repository has, as one of the two services sees it. Being
	// answered for receive-pack proves the right to push. Beside the branch it tells of
	// those whose names begin with one of below.
	Refs(ctx context.Context, service, branch string, below ...string) (Advertisement, error)

	// Fetch brings objects. Where [UnknownToServer] holds for the error the server
	// does not have what was asked for, or does not give it.
	//
	// Of a file that is larger than MaxFileBytes there is one byte more than that, so
	// that it shows, and what does not fit into MaxBytes any more is left out; where the server sent it as a delta, which it does not when the
	// file is the only thing wanted and NoThin is set, there is nothing.
	Fetch(ctx context.Context, r FetchRequest, held Source) (map[Hash]Object, error)

	// Push asks the server to take a pack and to move the branch, if it is still
	// where the request says: to make it, or to delete it, where that says so. Nil means that the server reported success for the
	// pack and for the branch. A [*Refusal] is the server's no, and a
	// [*BehindError] says that the branch was seen elsewhere and nothing was sent;
	// after any other error that is not refused outright the push may have
	// happened, now or a little later.
	Push(ctx context.Context, r PushRequest) error

	// Close frees the connections. It waits for answers that are still being read,
	// which end with their call's time at the latest.
	Close()
}

// BehindError says that the branch is not where a push would have moved it from.
type BehindError struct{ Seen Advertisement }

func (e *BehindError) Error() string { return "the branch is at " + e.Seen.Tip.String() }

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
