package git

import (
	"errors"
	"testing"
)

func TestEveryCallThatEndsIsSeen(t *testing.T) {
	called, ended := &counted{err: errors.New("no")}, 0
	r := Watch(called, func() { ended++ })
	_, refs := r.Refs(t.Context(), UploadPack, "main")
	_, fetch := r.Fetch(t.Context(), FetchRequest{}, nil)
	for i, err := range []error{refs, fetch, r.Push(t.Context(), PushRequest{})} {
		if !errors.Is(err, called.err) {
			t.Errorf("call %d: %v", i, err)
		}
	}
	if ended != 3 || called.calls != 3 {
		t.Errorf("%d calls ended of %d", ended, called.calls)
	}
}
