package queue

import (
	"context"

	"github.com/tallyman-dev/tallyman/gitops"
)

// ProofKeys keeps the keys with which commits are proved to be this installation's.
// Safe for concurrent use.
type ProofKeys interface {
	// ProofKeys returns every key of the store, the oldest first, and makes one when
	// there is none: however many ask at once, on this replica or another, they get the
	// same. What is returned is durable. Keys are never forgotten: commits of any age
	// may have to be proved.
	ProofKeys(ctx context.Context) ([]gitops.ProofKey, error)
}
