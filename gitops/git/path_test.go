package git

import (
	"errors"
	"fmt"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
)

func TestWhatABranchCanBeCalled(t *testing.T) {
	for _, name := range []string{"main", "release/1.2", "a-b_c+d.e"} {
		if err := ValidateBranch(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", "a..b", "-x", "a b", "a.lock", "a/", "a.", "a//b", "a/.b", ".a", "/a", "a~1", "a\nb"} {
		var e *gitops.Error
		if err := ValidateBranch(name); !errors.As(err, &e) || e.Code != gitops.Invalid || e.Field != "branch" {
			t.Errorf("%q: %v, want invalid branch", name, err)
		}
	}
}

func TestWhatIsWrongWithAPath(t *testing.T) {
	other := errors.New("another")
	for err, want := range map[error]gitops.Code{
		ErrNoEntry: gitops.NotFound, ErrSymlink: gitops.Invalid, ErrSubmodule: gitops.Invalid, ErrDirectory: gitops.Invalid, ErrNotDirectory: gitops.Invalid,
	} {
		got := PathError("charts/x", fmt.Errorf("looking: %w", err))
		var e *gitops.Error
		if !errors.As(got, &e) || e.Code != want || e.Message != "charts/x: looking: "+err.Error()+" in the manifest repository" {
			t.Errorf("%v became %v", err, got)
		}
	}
	for _, err := range []error{nil, other} {
		if got := PathError("charts/x", err); got != err {
			t.Errorf("%v became %v", err, got)
		}
	}
}
