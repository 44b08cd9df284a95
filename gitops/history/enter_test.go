package history

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

// What is sent is entered for while it is parsed, and not while a file is read: the reader
// of a file enters by itself, and whoever is entered may have all the memory there is. A
// commit that was asked for takes the place of no tip.
func TestEachFetchIsEnteredByItself(t *testing.T) {
	overEachServer(t, func(t *testing.T, newOrigin origins) {
		o := newOrigin(t)
		within, entered := false, []gitops.ParsedObject(nil)
		r := o.reader()
		r.limits.Enter = func(_ context.Context, o gitops.ParsedObject) (func(), error) {
			if within {
				t.Error("entered twice")
			}
			within, entered = true, append(entered, o)
			return func() { within = false }, nil
		}
		read := func(ctx context.Context, name string, file []byte) (string, error) {
			if within {
				t.Error("a file is read while its fetch is entered")
			}
			return readTag(ctx, name, file)
		}
		tip := gitops.ParsedObject{Object: o.first, Kind: gitops.ParsedPack, Path: "main"}
		past := gitops.ParsedObject{Object: o.first, Kind: gitops.ParsedPack, Path: "main at " + o.first}
		name, ok := git.ParseHash(o.first)
		if !ok {
			t.Fatal(o.first)
		}
		for _, q := range []Query{{Path: shop, Read: read}, {Path: shop, Read: read, Tip: name}} {
			entered = nil
			if h, err := r.File(t.Context(), q); err != nil || len(h.Versions) != 1 {
				t.Fatalf("got %+v, %v", h, err)
			}
			want := map[bool]gitops.ParsedObject{true: tip, false: past}[q.Tip.IsZero()]
			for _, got := range entered {
				if diff := cmp.Diff(want, got); diff != "" {
					t.Error(diff)
				}
			}
			if len(entered) == 0 {
				t.Error("nothing was entered")
			}
		}
		if within {
			t.Error("not left")
		}
	})
}

// What is set aside is not fetched.
func TestWhatIsSetAsideIsNotFetched(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	r := o.reader()
	aside := gitops.Errorf(gitops.Rejected, "main is set aside")
	r.limits.Enter = func(context.Context, gitops.ParsedObject) (func(), error) { return nil, aside }
	if _, err := r.File(t.Context(), Query{Path: shop, Read: readTag}); !errors.Is(err, aside) {
		t.Errorf("got %v, want %v", err, aside)
	}
}
