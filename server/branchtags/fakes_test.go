package branchtags

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/values"
	"github.com/tallyman-dev/tallyman/server/api"
)

// branch is a branch and its server, and counts what is asked of them.
type branch struct {
	files map[string]string
	moves int
	err   error         // of the server
	hold  chan struct{} // closed when the server may answer; nil when it may at once
	old   time.Duration // of the views

	unknown bool             // what changes is not known
	refused map[string]error // by path: what the guard says

	mu    sync.Mutex
	asked int
	reads []string
}

// push moves the branch: the files have this content from now on.
func (b *branch) push(files map[string]string) {
	b.files = maps.Clone(b.files)
	maps.Copy(b.files, files)
	b.moves++
}

func (b *branch) view(ctx context.Context, maxAge time.Duration) (*view, error) {
	asOf := time.Now().Add(-min(b.old, maxAge))
	b.mu.Lock()
	b.asked++
	b.mu.Unlock()
	if b.hold != nil {
		select {
		case <-b.hold:
		case <-ctx.Done():
			return nil, gitops.Errorf(gitops.Unavailable, "the git server did not answer in time").WithCause(context.Cause(ctx))
		}
	}
	if b.err != nil {
		return nil, b.err
	}
	return &view{b, asOf, fmt.Sprint(b.moves), b.files}, nil
}

// Enter is the guard's.
func (b *branch) Enter(_ context.Context, o gitops.ParsedObject, _ int64, _ bool) (func(), error) {
	if err := b.refused[o.Path]; err != nil {
		return nil, err
	}
	return func() {}, nil
}

// sinceLast returns what was asked since the last call.
func (b *branch) sinceLast() (asked int, reads []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	asked, reads = b.asked, b.reads
	b.asked, b.reads = 0, nil
	slices.Sort(reads)
	return asked, reads
}

type view struct {
	branch *branch
	asOf   time.Time
	commit string
	files  map[string]string
}

func (v *view) Commit() string  { return v.commit }
func (v *view) AsOf() time.Time { return v.asOf }

func (v *view) Object(path string) string { return v.files[path] }

func (v *view) Changed(since *view) (paths []string, ok bool) {
	if v.branch.unknown {
		return nil, false
	}
	all := maps.Clone(v.files)
	maps.Copy(all, since.files)
	for path := range all {
		if v.files[path] != since.files[path] {
			paths = append(paths, path)
		}
	}
	return paths, true
}

func (v *view) ReadFile(path string) ([]byte, error) {
	v.branch.mu.Lock()
	defer v.branch.mu.Unlock()
	v.branch.reads = append(v.branch.reads, path)
	text, ok := v.files[path]
	if !ok {
		return nil, gitops.Errorf(gitops.NotFound, "the branch has no file %s", path)
	}
	return []byte(text), nil
}

func edit(t *testing.T, key, value string) *values.Edit {
	t.Helper()
	e, err := values.Compile([]values.Target{{Key: key, Value: value}})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// site is three apps, two of them in one file, on a branch with two files.
func site(t *testing.T) (*branch, *Cache[*view]) {
	b := &branch{files: map[string]string{
		"shared.yaml":      "api: {tag: v1}\nworker: {tag: v1}\n",
		"prod/api.yaml":    "image: host/api:v1\n",
		"nobodys-own.yaml": "x: 1\n",
	}}
	return b, New([]Target{
		{Environment: "prod", App: "api", Files: []File{{"prod/api.yaml", edit(t, ".image", "{repository}:{tag}")}}},
		{Environment: "dev", App: "worker", Files: []File{{"shared.yaml", edit(t, ".worker.tag", "")}}},
		{Environment: "dev", App: "api", Files: []File{{"shared.yaml", edit(t, ".api.tag", "")}}},
	}, b.view, 3*time.Second, b)
}

// tags are the tags and problems, by environment and app.
func tags(all api.BranchTags) string {
	var texts []string
	for _, environment := range slices.Sorted(maps.Keys(all.Apps)) {
		for _, a := range all.Apps[environment] {
			texts = append(texts, strings.TrimSpace(environment+"/"+a.App+" "+a.Tag+a.Problem))
		}
	}
	return strings.Join(texts, ", ")
}
