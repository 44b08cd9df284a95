// Package git speaks git's protocol with one repository on its server, and reads
// and makes the objects that go over the wire. It has no worktree and no git
// binary, and keeps nothing on disk.
//
// A [Remote] is the way to a repository: over smart HTTP or SSH it asks for the
// refs, fetches objects and pushes a pack with a compare-and-swap on the branch;
// a [Breaker] keeps it away from a server that asked for a pause. A [Pager] reads
// history. A [Directory] is a tree with all that is below it. A [Draft] collects the
// objects of a push, and a [PackWriter] makes a pack of them. [ParseCommit],
// [Commits] and [SignCommit] are for commits.
//
// Errors tell what happened; [PublicError] makes of one what people are told. A
// [Refusal] is the server's no to a push, and [SameReason] compares two of them.
//
// Protocol lines and hashes are those of go-git, which only this package imports.
package git
