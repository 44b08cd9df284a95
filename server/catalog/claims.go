package catalog

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// place is a file of a manifest repository.
type place struct{ manifests, path string }

// claims are what the updates of targets write.
type claims struct {
	writes map[string]*wanted   // by repository, file and key
	shared map[string][]*wanted // of what more than one found target writes
	keys   map[string]string    // spellings of keys that were met, and what is the same for all of one key
}

func newClaims(n int) *claims {
	return &claims{writes: make(map[string]*wanted, n), shared: make(map[string][]*wanted), keys: make(map[string]string)}
}

// claim notes what the updates of one target write, and rejects what another one of the
// configuration writes already: a tag of dev would end up in prod's place. What two found
// targets write is shared, and neither may.
func (c *claims) claim(w *wanted) *gitops.Error {
	for _, f := range w.Files {
		for i, set := range f.Sets {
			at := w.Manifests + "\x00" + f.Path
			for _, key := range []string{set.Inside, set.Key} {
				same, err := c.sameKey(key)
				if err != nil { // the edit would not have been compiled
					return gitops.FieldErrorf(fmt.Sprintf("%s[%d].key", f.field, i), "%s", gitops.PublicOf(err))
				}
				at += "\x00" + same
			}
			other, taken := c.writes[at]
			switch {
			case !taken:
				c.writes[at] = w
			case other.found != nil:
				c.shared[at] = append(c.shared[at], w)
			default:
				return gitops.FieldErrorf(cmp.Or(f.also, f.field), "updates of %s in %s and of %s in %s would both set %s in %s: give them different files or keys",
					other.App, other.Environment, w.App, w.Environment, set.Key, f.Path)
			}
		}
	}
	return nil
}

// refuseClaims refuses the found targets that write the same.
func (b *builder) refuseClaims(c *claims) {
	refused := make(map[*wanted]bool)
	for _, at := range slices.Sorted(maps.Keys(c.shared)) {
		others, file := c.shared[at], strings.Split(at, "\x00")[1]
		all := append([]*wanted{c.writes[at]}, others...)
		slices.SortFunc(all, func(x, y *wanted) int { return compareAt(x.At, y.At) })
		for i, w := range all {
			other := all[0]
			if i == 0 {
				other = all[1]
			}
			if !refused[w] && w != other {
				refused[w] = true
				b.refuse(w, fmt.Sprintf("its updates and those of %s in %s would both set the same key of %s: give them different files or keys",
					other.App, other.Environment, file), other.sources()...)
			}
		}
	}
}

// sameKey is [values.SameKey], once for each spelling.
func (c *claims) sameKey(key string) (string, error) {
	same, met := c.keys[key]
	if met || key == "" {
		return same, nil
	}
	same, err := values.SameKey(key)
	if err == nil {
		c.keys[key] = same
	}
	return same, err
}
