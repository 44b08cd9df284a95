// Package git speaks git's protocol with one repository on its server, and reads
// and makes the objects that go over the wire. It has no worktree and no git
// binary, and keeps nothing on disk.
//
// A [Remote] is the way to a repository: over smart HTTP or SSH it asks for the
// refs, fetches objects and pushes a pack with a compare-and-swap on the branch. A
// [Draft] collects the objects of a push on top of a [Store], and a [PackWriter]
// makes a pack of them. [LookUp] and [Draft.Replace] read and change trees;
// [ParseCommit], [Commits] and [SignCommit] are for commits.
//
// Protocol lines and hashes are those of go-git, which only this package imports.
package git
