package argocd

import (
	"context"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/rollout"
)

// List lists all projects now. Errors are as of [Client.Applications]; of what could not be
// listed the list before stays.
func (x *Index) List(ctx context.Context) error { return x.list(ctx, time.Nanosecond) }

// Known is Find by what is known, without asking.
func (x *Index) Known(m rollout.Manifest) (matches []Match, near []string) { return x.match(m) }

// Named returns the Application of that name, whatever it reads, where it is known. A name
// without a namespace is one of the namespace that Argo CD itself is in; where that is not
// told apart from others, it is the first of that name.
func (x *Index) Named(r Ref) (found Ref, ok bool) {
	for _, l := range x.listings() {
		for _, e := range l.entries {
			if e.ref.Project == r.Project && e.ref.Name == r.Name && (r.Namespace == "" || r.Namespace == e.ref.Namespace) {
				return e.ref, true
			}
		}
	}
	return Ref{}, false
}
