package gitops_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
)

func TestDeliveryKeyText(t *testing.T) {
	for text, want := range map[string]gitops.DeliveryKey{
		"github/72d3162e-cc78-11e3-81ab-4c9367dc0958": {Source: "github", ID: "72d3162e-cc78-11e3-81ab-4c9367dc0958"},
		"eventbridge/a/b": {Source: "eventbridge", ID: "a/b"},
	} {
		var got gitops.DeliveryKey
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q is %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "/", "github", "github/", "/id"} {
		if err := new(gitops.DeliveryKey).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken for a delivery key", text)
		}
	}
}

func FuzzDeliveryKeyText(f *testing.F) {
	f.Add("github/1")
	f.Add("//")
	f.Fuzz(func(t *testing.T, text string) {
		var key gitops.DeliveryKey
		if key.UnmarshalText([]byte(text)) != nil {
			if key != (gitops.DeliveryKey{}) {
				t.Error("a key that was refused was set all the same")
			}
			return
		}
		back, err := key.MarshalText()
		if err != nil || string(back) != text || strings.Contains(key.Source, "/") {
			t.Errorf("%q became %+v and then %q, %v", text, key, back, err)
		}
	})
}

// The JSON form is the API's: what is in the golden files is promised.
func TestJSONForm(t *testing.T) {
	at := time.Date(2026, 1, 2, 15, 4, 5, 123456000, time.UTC)
	key := gitops.DeliveryKey{Source: "github", ID: "72d3162e"}
	update := gitops.Update{
		ID: "u1", Delivery: key, Actor: "ann", Environment: "dev", App: "myshop-api",
		Tag: "main-1a2b3c4", State: gitops.Pending, AcceptedAt: at, Sequence: 7, MaybePushed: true,
	}
	blocked := update
	blocked.Attempts, blocked.RetriedAt, blocked.CancelRequest = 3, at, &gitops.CancelRequest{Actor: "ann", Reason: "not this one"}
	blocked.BlockedBy = []gitops.Block{
		{Kind: gitops.BlockRefused, Reason: "the git server refuses it: charts/myshop-api is protected", Since: at, Until: at.Add(time.Minute)},
		{Kind: gitops.BlockStale, Reason: "accepted more than 7 days ago: retry or cancel it", Since: at},
	}
	failed := update
	failed.Repository, failed.Digest = "registry.example/myshop/api", "sha256:"+strings.Repeat("0", 64)
	failed.State, failed.Code, failed.Reason = gitops.Failed, gitops.NotFound, "charts/myshop-api/values-dev.yaml is not there"
	failed.Attempts, failed.FinishedAt = 2, at.Add(time.Second)
	commit := strings.Repeat("c0ffee", 7)[:40]
	committed := update
	committed.State, committed.Commit, committed.Attempts, committed.FinishedAt = gitops.Committed, commit, 1, at.Add(time.Second)

	golden(t, "delivery-accepted.json", gitops.Delivery{
		Source: "github", ID: "72d3162e", ReceivedAt: at, EventTime: at, Actor: "ann", Outcome: gitops.OutcomeAccepted,
		Reason: "prod: tag main-1a2b3c4 does not satisfy semver >=1.0.0", Body: []byte("not shown"),
		Updates: []gitops.Update{update, blocked, failed, committed},
	})
	committed.Steps = []gitops.Step{
		{At: at, Until: at.Add(time.Second), Attempts: 2, State: gitops.Pending, Code: gitops.Rejected, Reason: "protected", RetryAt: at.Add(time.Minute)},
		{At: at.Add(time.Second), State: gitops.Pending, Reason: "still wanted", Actor: "ann"},
		{At: at.Add(2 * time.Second), Attempts: 1, State: gitops.Committed, Commit: commit},
	}
	golden(t, "update-steps.json", committed)
	golden(t, "hold.json", gitops.Hold{
		ID: "h17", Kind: gitops.HoldPin, Environments: []string{"prod"}, Apps: []string{"myshop-api"}, Tag: "1.4.1", Principal: "token:ann", Actor: "token:ann",
		Reason: "incident 4711", Rule: "access[2]", Since: at, Until: at.Add(72 * time.Hour),
		Lifted: &gitops.Lift{At: at.Add(time.Hour), Principal: "token:bo", Actor: "token:bo", Reason: "fixed"},
	})
	golden(t, "terms.json", gitops.Terms{
		Reason: "incident 4711", Passes: []gitops.BlockKind{gitops.BlockPin, gitops.BlockFreeze}, Override: "the fix", RollsBack: "1.4.2", PinUntil: at.Add(72 * time.Hour),
	})
	golden(t, "delivery-rejected.json", gitops.Delivery{
		Source: "github", ID: "72d3162e", ReceivedAt: at, Outcome: gitops.OutcomeRejected,
		Field: "client_payload.tag", Reason: "is missing", Updates: []gitops.Update{},
	})
}

// golden compares v's JSON with a file, and reads the file back.
func golden[T any](t *testing.T, name string, v T) {
	t.Helper()
	want, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
		t.Errorf("%s:\n%s", name, diff)
	}
	var back T
	if err := json.Unmarshal(want, &back); err != nil {
		t.Fatal(err)
	}
	again, err := json.MarshalIndent(back, "", "  ")
	if err != nil || string(again)+"\n" != string(want) {
		t.Errorf("%s does not survive being read: %v\n%s", name, err, cmp.Diff(string(want), string(again)+"\n"))
	}
}
