package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

// A command that waits prints what its update waits for, each thing once.
func TestProgress(t *testing.T) {
	var out bytes.Buffer
	u := gitops.Update{ID: "u1", App: "api", Environment: "dev", Tag: "v1", State: gitops.Pending}
	outage := map[string]*api.Outage{"dev/api": {Reason: "the branch is protected"}}
	shown := newProgress(&out, &printer{now: noon}, untilProposed, []gitops.Update{u}, nil)
	shown.setUpdate(u)
	shown.setOutages(nil)
	shown.setOutages(outage)
	shown.setUpdate(u)
	u.BlockedBy = []gitops.Block{{Kind: gitops.BlockRefused, Reason: "CODEOWNERS", Since: noon, Until: noon.Add(time.Minute)}}
	shown.setUpdate(u)
	u.BlockedBy = nil
	shown.setUpdate(u)
	shown.setOutages(nil)
	u.State = gitops.Committed
	shown.setUpdate(u)
	shown.setOutages(outage)
	want := `api in dev to v1: pending
api in dev to v1: pending: the branch is protected
api in dev to v1: pending: refused since 12:00:00: CODEOWNERS; retries at 12:01:00
api in dev to v1: pending: the branch is protected
api in dev to v1: pending
`
	if diff := cmp.Diff(want, out.String()); diff != "" || shown.current()[0].State != gitops.Committed {
		t.Error(diff)
	}
}

// Of several updates it prints the end of each as it comes, an outage once for its
// environment, and a block for its update.
func TestProgressOfSeveral(t *testing.T) {
	var out bytes.Buffer
	var updates []gitops.Update
	for _, environment := range []string{"dev", "prod"} {
		for _, app := range []string{"api", "web"} {
			updates = append(updates, gitops.Update{ID: environment + app, App: app, Environment: environment, Tag: "v1", State: gitops.Pending})
		}
	}
	protected := &api.Outage{Reason: "the branch is protected"}
	outage := map[string]*api.Outage{"prod/api": protected, "prod/web": protected}
	shown := newProgress(&out, &printer{now: noon}, untilProposed, updates, outage)
	blocked, failed, committed := updates[0], updates[1], updates[0]
	blocked.BlockedBy = []gitops.Block{{Kind: gitops.BlockRefused, Reason: "CODEOWNERS", Since: noon}}
	failed.State, failed.Reason = gitops.Failed, "no such key\x1b"
	committed.State, committed.Commit = gitops.Committed, "c0ffee"
	for _, u := range []gitops.Update{blocked, failed, updates[3], failed, updates[0], committed} {
		shown.setUpdate(u)
	}
	shown.setOutages(outage)
	shown.setOutages(nil)
	want := `waiting for 4 updates
prod: pending: the branch is protected
api in dev to v1: pending: refused since 12:00:00: CODEOWNERS; a person must decide
web in dev to v1: failed (no such key�)
api in dev to v1: pending
api in dev to v1: committed (c0ffee)
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

// Of several updates that are not all committed the error says how many and the first,
// and the exit status whether any has ended.
func TestSomeNotCommitted(t *testing.T) {
	update := func(state gitops.State, reason string) gitops.Update {
		return gitops.Update{App: "api", Environment: "dev", Tag: "v1", State: state, Reason: reason}
	}
	committed, unchanged := update(gitops.Committed, ""), update(gitops.Unchanged, "")
	failed, pending := update(gitops.Failed, "no such key"), update(gitops.Pending, "")
	pending.BlockedBy = []gitops.Block{{Kind: gitops.BlockRefused, Reason: "CODEOWNERS", Since: noon}}
	a := apiRun{print: &printer{now: noon}}
	for _, c := range []struct {
		updates []gitops.Update
		exit    int
		want    string
	}{
		{[]gitops.Update{committed, unchanged}, 0, ""},
		{[]gitops.Update{failed}, exitEnded, "api in dev to v1: not committed: failed: no such key"},
		{[]gitops.Update{committed, pending}, exitPending, "1 of 2 updates are not committed. The first: api in dev to v1: interrupted; still pending: refused since 12:00:00: CODEOWNERS; a person must decide"},
		{[]gitops.Update{pending, committed, failed}, exitEnded, "2 of 3 updates are not committed. The first: api in dev to v1: interrupted; still pending: refused since"},
	} {
		err := a.missing(c.updates, nil, waitFlags{until: untilProposed}, true)
		if exitCode(err) != c.exit || (err == nil) != (c.want == "") || err != nil && !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("exit %d: %v", exitCode(err), err)
		}
	}
}
