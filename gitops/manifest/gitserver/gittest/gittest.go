// Package gittest has what tests do with a real git server: start one that ends
// with the test, and fail where git does.
package gittest

import (
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// Start starts a git server with one repository, and stops it when the test ends.
func Start(tb testing.TB, repository string) (*gitserver.Server, *gitserver.Repository) {
	tb.Helper()
	server, err := gitserver.Start(tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := server.Close(); err != nil {
			tb.Error(err)
		}
	})
	repo, err := server.CreateRepository(repository)
	if err != nil {
		tb.Fatal(err)
	}
	return server, repo
}

// Commit makes a commit in the repository and returns its name.
func Commit(tb testing.TB, repo *gitserver.Repository, c gitserver.Change) string {
	tb.Helper()
	made, err := repo.Commit(c)
	if err != nil {
		tb.Fatal(err)
	}
	return made
}

// Git runs git in the repository and returns what it prints.
func Git(tb testing.TB, repo *gitserver.Repository, args ...string) string {
	tb.Helper()
	out, err := repo.Git(args...)
	if err != nil {
		tb.Fatal(args, out, err)
	}
	return out
}
