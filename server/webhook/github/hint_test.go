package github_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
)

// What GitHub tells of pull requests and of the branches that they are for is a hint, which
// says where. The payloads are as GitHub sends them; a repository has a property that is a
// list, which some readers fail at.
func TestDecodeHints(t *testing.T) {
	const repository = "myshop/manifests"
	topic := gitops.Hint{Repository: repository, Branch: "main", Topic: "tallyman/prod/api"}
	for name, c := range map[string]struct {
		kind     string
		old, now string // a change of the payload
		want     gitops.Hint
		says     string
	}{
		"a pull request was merged": {kind: "pull_request", want: topic, says: `a "pull_request" event is a hint`},
		"it was closed":             {kind: "pull_request", old: `"merged": true`, now: `"merged": false`, want: topic},
		"it was put into a queue":   {kind: "pull_request", old: `"closed",`, now: `"enqueued",`, want: topic},
		"it is for another branch":  {kind: "pull_request", old: `"ref": "main"`, now: `"ref": "release/1"`, want: gitops.Hint{Repository: repository, Branch: "release/1", Topic: "tallyman/prod/api"}},
		"a label was added":         {kind: "pull_request", old: `"closed",`, now: `"labeled",`, says: `a "pull_request" event is ignored where its action is "labeled"`},
		"an action that is new":     {kind: "pull_request", old: `"closed",`, now: `"` + strings.Repeat("x", 99) + `",`, says: "is ignored where its action is"},
		"it is of a fork":           {kind: "pull_request", old: `"full_name": "myshop/manifests"`, now: `"full_name": "ann/manifests"`},
		"it is a number":            {kind: "pull_request", old: `"pull_request": {`, now: `"pull_request": 7, "other": {`},
		"a review":                  {kind: "pull_request_review", want: topic},
		"a review was edited":       {kind: "pull_request_review", old: `"submitted"`, now: `"edited"`, says: "is ignored"},
		"a push":                    {kind: "push", want: gitops.Hint{Repository: repository, Branch: "main", Pushed: true}},
		"a push of a tag":           {kind: "push", old: "refs/heads/main", now: "refs/tags/main"},
		"a queue":                   {kind: "merge_group", want: gitops.Hint{Repository: repository, Branch: "main"}},
		"permissions were approved": {kind: "installation", want: gitops.Hint{Owner: "myshop"}},
		"the App was installed":     {kind: "installation", old: "new_permissions_accepted", now: "created", says: `a "installation" event is ignored where its action is "created"`},
	} {
		t.Run(name, func(t *testing.T) {
			text := string(fixture(t, c.kind+".json"))
			body := strings.Replace(text, c.old, c.now, 1)
			if c.old != "" && body == text {
				t.Fatalf("the payload has no %s", c.old)
			}
			event, err := receiver(t, "s").Decode(headers("X-GitHub-Event", c.kind), []byte(body))
			if err != nil || event.Hint == nil {
				t.Fatalf("decoded to %+v, %v", event, err)
			}
			if diff := cmp.Diff(c.want, *event.Hint); diff != "" || !strings.Contains(event.IgnoreReason, c.says) || len(event.IgnoreReason) > 200 {
				t.Errorf("%q\n%s", event.IgnoreReason, diff)
			}
		})
	}
}

// Only events that are hints are left out where all others are missed: an order is never one.
func TestIsHint(t *testing.T) {
	for kind, want := range map[string]bool{"pull_request": true, "pull_request_review": true, "push": true, "merge_group": true, "installation": true,
		"repository_dispatch": false, "ping": false, "installation_repositories": false, "": false, "PUSH": false} {
		if receiver(t, "s").IsHint(kind) != want {
			t.Errorf("%q is a hint: %t", kind, !want)
		}
	}
}
