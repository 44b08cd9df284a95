package apphistory

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/guard"
	"github.com/tallyman-dev/tallyman/gitops/history"
	"github.com/tallyman-dev/tallyman/gitops/values"
	"github.com/tallyman-dev/tallyman/server/api"
)

func reader(t *testing.T, file func(ctx context.Context, q history.Query) (history.History, error)) *Reader {
	t.Helper()
	edit, err := values.Compile([]values.Target{{Key: ".image", Value: "{repository}:{tag}"}})
	if err != nil {
		t.Fatal(err)
	}
	target := func(environment, app string) []File {
		if environment != "dev" || app != "shop" {
			return nil
		}
		return []File{{app + "-" + environment + ".yaml", edit}}
	}
	in := func(ctx context.Context, _, _ string, q history.Query) (history.History, error) { return file(ctx, q) }
	return New(target, in, guard.New(1<<30, slog.New(slog.DiscardHandler)))
}

func TestVersionsAreTagsWithTheirCommits(t *testing.T) {
	at := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	r := reader(t, func(ctx context.Context, q history.Query) (history.History, error) {
		if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > api.HistoryWithin {
			t.Errorf("the git server may take until %s", deadline)
		}
		now, err := q.Read(ctx, "1", []byte("image: host/shop:v2\n"))
		_, broken := q.Read(ctx, "2", []byte("image: host/shop\n"))
		if q.Path != "shop-dev.yaml" || q.Limit != 5 || q.Commits != 70 || now != "v2" || err != nil || broken == nil {
			t.Errorf("asked for %+v; reads %q, %v; %v", q, now, err, broken)
		}
		return history.History{Tip: "c3", Commits: 9, Until: at, Complete: true, Versions: []history.Version{
			{Value: now, Commit: "c3", At: at, Author: git.Signature{Name: "Bot", Email: "bot@example.com"}, Subject: "chore: bump", Proof: "k1",
				Updates: []gitops.UpdateTrailer{{Update: "u1", Delivery: gitops.DeliveryKey{Source: "github", ID: "d1"}, Actor: "ann", Terms: &gitops.Terms{Reason: "it fails", Override: "now", RollsBack: "v3", Reverts: "u0", PinUntil: at}}}},
			{Err: broken, Commit: "c2", Updates: []gitops.UpdateTrailer{{Update: "u0", Actor: "ann"}}},
			{Missing: true},
		}}, nil
	})
	got, err := r.History(t.Context(), api.HistoryQuery{Environment: "dev", App: "shop", Limit: 5, Commits: 70})
	if err != nil {
		t.Fatal(err)
	}
	want := api.History{Environment: "dev", App: "shop", File: "shop-dev.yaml", Tip: "c3", Commits: 9, Since: at, Complete: true, Versions: []api.Version{
		{Tag: "v2", Commit: "c3", At: at, Author: "Bot <bot@example.com>", Subject: "chore: bump", Proof: "k1",
			Updates: []api.UpdateTrailer{{Update: "u1", Delivery: gitops.DeliveryKey{Source: "github", ID: "d1"}, Actor: "ann", Reason: "it fails", Override: "now", RollsBack: "v3", Reverts: "u0", PinUntil: at}}},
		{Problem: `.image: holds "host/shop", which does not have the form {repository}:{tag}`, Commit: "c2", Author: " <>",
			Claims: []api.UpdateTrailer{{Update: "u0", Actor: "ann"}}},
		{Missing: true},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWhatHasNoHistory(t *testing.T) {
	away := gitops.Errorf(gitops.Unavailable, "connection failed")
	r := reader(t, func(context.Context, history.Query) (history.History, error) { return history.History{}, away })
	if _, err := r.History(t.Context(), api.HistoryQuery{Environment: "dev", App: "shop"}); err != away {
		t.Errorf("the git server does not answer: %v", err)
	}
	if _, err := r.History(t.Context(), api.HistoryQuery{Environment: "prod", App: "shop"}); gitops.CodeOf(err) != gitops.NotFound {
		t.Errorf("not configured: %v", err)
	}
	r.File = func(context.Context, string, string, history.Query) (history.History, error) {
		return history.History{}, nil
	}
	h, err := r.History(t.Context(), api.HistoryQuery{Environment: "dev", App: "shop"})
	if text, _ := json.Marshal(h.Versions); err != nil || string(text) != "[]" {
		t.Errorf("no versions are %s, %v", text, err)
	}
}
