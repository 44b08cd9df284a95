package manifest

import "github.com/tallyman-dev/tallyman/gitops"

// Settlement says how an update ended.
type Settlement struct {
	Update string // its id
	State  gitops.State
	Code   gitops.Code // of the failure, when State is Failed
	Reason string      // a sentence a person can act on; may be empty when Committed
	Commit string      // hexadecimal object name, when State is Committed
}
