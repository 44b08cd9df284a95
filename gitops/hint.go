package gitops

// Hint is what an event of a forge says of pull requests and of the branches that they are
// for: something may have changed there. It is no order, and nothing is done because of what
// it says: who is told of it looks. The zero hint is about nothing that tallyman follows.
type Hint struct {
	Repository string // owner/name
	Owner      string // in place of a repository: all of this owner's
	Branch     string // the base branch; "" where the event does not say
	Topic      string // the branch that a pull request is from, of the same repository; "" for all
	Pushed     bool   // Branch itself was pushed to
}
