package queue

import (
	"context"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Parsing keeps what is being parsed, so that an object that ends the process is known
// when the process begins again. Objects are told apart by their git name. Safe for
// concurrent use.
//
// A note of a process that is known to be dead counts as a death of its object, one for
// each process: the calls below count first. A process that ends with its notes in place is dead, whatever
// ended it; one that stops in order has ended its notes before.
type Parsing interface {
	// BeginParsing notes, durably when it returns, that the holder is about to parse
	// the objects, and returns those that it did not note, in their order: suspects of
	// deaths or more. With one death no suspect is noted; who asks for more parses
	// nothing else meanwhile.
	BeginParsing(ctx context.Context, holder string, objects []gitops.ParsedObject, deaths int) (suspects []gitops.Suspect, err error)

	// EndParsing takes the holder's notes of the objects away, and forgets their deaths:
	// they were parsed and the process lives, or the branch has them no more. A note of
	// another holder stays.
	EndParsing(ctx context.Context, holder string, objects []string) error

	// Suspects returns all of them, by kind, path and name.
	Suspects(ctx context.Context) ([]gitops.Suspect, error)

	// ClearSuspect forgets the deaths of an object, because a person says so, with the
	// entry for the audit in the same transaction: the store sets its Before. The error's
	// code is NotFound when it is no suspect.
	ClearSuspect(ctx context.Context, object string, by gitops.AuditEntry) (gitops.Suspect, error)
}

// ErrNoSuspect is the error of [Parsing.ClearSuspect] for what is no suspect.
func ErrNoSuspect(object string) error {
	return gitops.Errorf(gitops.NotFound, "%.100q is not set aside: the branch has other content by now, or somebody has cleared it", object)
}

// ClearEntry completes the audit's entry of a clearance.
func ClearEntry(s gitops.Suspect, by gitops.AuditEntry) gitops.AuditEntry {
	by.Act, by.Right = gitops.ActClear, gitops.RightRetry
	by.Before, by.After = "set aside: "+string(s.Kind)+" "+s.Path+", object "+s.Object, "parsed again"
	return by
}
