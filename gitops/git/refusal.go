package git

import (
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Refusal is the server's no to a push that it understood.
type Refusal struct {
	Unpack bool   // it did not get as far as the branch: the pack was not taken
	status string // of the report
	said   string // by its hooks
}

// Error has the words of both once: some hosts put the hook's into the status.
func (e *Refusal) Error() string {
	switch {
	case strings.Contains(e.status, e.said):
		return e.status
	case strings.Contains(e.said, e.status):
		return e.said
	}
	return e.status + ": " + e.said
}

// without is the refusal without the secrets that were sent: the words of hooks are
// shown to people.
func (e *Refusal) without(secrets []string) *Refusal {
	return &Refusal{Unpack: e.Unpack, status: hide(e.status, secrets), said: hide(e.said, secrets)}
}

// RefusalKind is why a server refuses a push, as far as its words tell. The set is
// closed.
type RefusalKind string

const (
	RefusedMoved      RefusalKind = "moved"      // the branch is elsewhere by now
	RefusedTooLarge   RefusalKind = "too_large"  // over a limit on pushes or files
	RefusedProtected  RefusalKind = "protected"  // the branch is written through pull requests, or by others
	RefusedPermission RefusalKind = "permission" // the account may not write
	RefusedHook       RefusalKind = "hook"       // a hook of the server's owner
	RefusedOther      RefusalKind = "other"
)

// phrases are what hosts say, in lower case, the most telling first.
var phrases = []struct {
	kind RefusalKind
	said []string
}{
	{RefusedMoved, []string{
		"failed to update ref", "cannot lock ref", "fetch first", "non-fast-forward", "non-fast forward", "failed to lock", "lock failure", "lock_failure",
		"tf401028", // Azure DevOps: updated by another client
	}},
	{RefusedTooLarge, []string{
		"exceeds maximum allowed size", "file size limit", "gh001", "exceed the maximum blob size", "larger than the allowed size", "size is greater than the", "exceeds the size limit", "tf402462",
	}},
	{RefusedProtected, []string{
		"protected branch", "gh006", "gh013", "rule violations", "through a pull request", "through pull requests", "use a pull request", "tf402455", "branch protection", "prohibited by gerrit",
	}},
	{RefusedPermission, []string{
		"permission", "not permitted", "not allowed to push", "denied to", "access denied", "read only", "read-only", "archived", "tf401027",
	}},
	{RefusedHook, []string{"hook", "pre-receive"}},
}

// Kind guesses from the words why the server refuses. It decides what a person is
// told to do, and nothing else: whether the branch has moved is looked up, and
// whom a refusal is for is found out by pushing less.
func (e *Refusal) Kind() RefusalKind {
	said := strings.ToLower(e.Error())
	for _, p := range phrases {
		for _, phrase := range p.said {
			if strings.Contains(said, phrase) {
				return p.kind
			}
		}
	}
	return RefusedOther
}

// public is the error that people get. Its cause is the refusal.
func (e *Refusal) public() *gitops.Error {
	code, sentence := gitops.Rejected, "the git server rejected the push"
	switch e.Kind() {
	case RefusedMoved:
		code, sentence = gitops.Conflict, "the branch changed during the push"
	case RefusedTooLarge:
		code, sentence = gitops.TooLarge, "the push is too large for the git server"
	case RefusedProtected:
		sentence += " (the branch is protected: allow the account that pushes to bypass that)"
	case RefusedPermission:
		sentence += " (the account that pushes lacks a permission: give it the right to write)"
	case RefusedHook, RefusedOther:
	}
	return gitops.Errorf(code, "%s: %s", sentence, e).WithCause(e)
}
