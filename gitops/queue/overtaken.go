package queue

import "github.com/tallyman-dev/tallyman/gitops"

// OvertakenError is why a failed update is not retried that another overtakes.
func OvertakenError(u gitops.Update, by string) *gitops.Error {
	return gitops.Errorf(gitops.Conflict, "update %s of %s in %s was accepted after this one: an old release does not overwrite a newer one", by, u.App, u.Environment)
}
