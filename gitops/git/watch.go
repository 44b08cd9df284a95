package git

import "context"

// Watch returns the remote, and has ended called after each call to it.
func Watch(r Remote, ended func()) Remote { return &watched{r, ended} }

type watched struct {
	Remote
	ended func()
}

func (w *watched) Refs(ctx context.Context, service, branch string, below ...string) (Advertisement, error) {
	defer w.ended()
	return w.Remote.Refs(ctx, service, branch, below...)
}

func (w *watched) Fetch(ctx context.Context, r FetchRequest, held Source) (map[Hash]Object, error) {
	defer w.ended()
	return w.Remote.Fetch(ctx, r, held)
}

func (w *watched) Push(ctx context.Context, u PushRequest) error {
	defer w.ended()
	return w.Remote.Push(ctx, u)
}
