package rollout

import (
	"slices"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
)

// before is of revisions that the update's commit comes after.
func before(revisions ...string) map[string]Containment {
	known := make(map[string]Containment)
	for _, r := range revisions {
		known[r] = Before
	}
	return known
}

func with(known map[string]Containment, revision string, c Containment) map[string]Containment {
	known[revision] = c
	return known
}

const (
	notLooked = "has not looked at this commit"
	usual     = "waiting syncing progressing healthy"
	notPulled = `Back-off pulling image "registry.example/`
	notSince  = "it is applied, and Argo CD has not compared since"
)

var stories = []story{
	{name: "automated", recording: "01-autosync", commit: "f8c2f8b", image: "myshop-api", tag: "main-79eaecd", known: before("88b6edb"), want: usual,
		words: []string{"Argo CD compares with 88b6edb and " + notLooked}},
	{name: "a person syncs", recording: "02-manual-sync", first: "09", commit: "ddfc324", image: "myshop-api", tag: "1.3.92612", known: before("f8c2f8b"),
		want: "waiting person syncing progressing healthy", words: []string{"automated sync is off", notSince}},
	{name: "the first sync of all", recording: "02-manual-sync", last: "08", commit: "f8c2f8b", image: "myshop-api", tag: "1.3.0",
		want: "person syncing progressing healthy", words: []string{"waiting for healthy state of /Namespace/myshop-prod"}, unasked: true},
	{name: "a manifest is refused", recording: "03-sync-failed-manifest", commit: "6a0494e", image: "fail", tag: "v2", known: before("e3bb2c9"),
		want: "waiting syncing sync_failed", words: []string{"Retrying operation. Attempt #1", `error when patching: Service "fail" is invalid: [spec.ports[0].port: Invalid value: 99999`}},
	{name: "the fix of it", recording: "03-sync-failed-manifest", first: "13", commit: "2a2a737", image: "fail", tag: "v3", known: before("6a0494e"), want: usual},
	{name: "nothing can be rendered", recording: "04-comparison-error", last: "06", commit: "ca079dc", image: "myshop-api", tag: "main-0", known: before("955a2e6", "55bbf6a"),
		want: "waiting", words: []string{"ComparisonError: Failed to load target state: failed to generate manifest", "did not find expected node content"}},
	{name: "the fix of it", recording: "04-comparison-error", commit: "61042c8", image: "myshop-api", tag: "main-7a34d10", known: before("955a2e6", "55bbf6a"), want: usual},
	{name: "a hook fails", recording: "05-hook-failed", commit: "e33cb36", image: "hook", tag: "v2", known: with(before("d1fe031"), "ab7cb0c", OtherTag),
		want: "waiting syncing superseded", words: []string{"waiting for deletion of hook batch/Job/migrate", "PreSync Job migrate: Job has reached the specified backoff limit", "another tag at ab7cb0c"}},
	{name: "after a hook of before", recording: "05-hook-failed", first: "14", commit: "ab7cb0c", image: "hook", tag: "v3", known: before("e33cb36"),
		want: "waiting", words: []string{"blocked by the sync of e33cb36, retry 2", "blocked by the sync of e33cb36, retry 3"}},
	{name: "cannot be pulled", recording: "06-degraded", commit: "1037067", image: "deg", tag: "bad-2", known: before("e43d633"),
		want: "waiting syncing progressing degraded", words: []string{`Deployment "deg" exceeded its progress deadline; pod deg-64c85567bc-2zdtv: ImagePullBackOff: ` + notPulled}},
	{name: "its revert", recording: "06-degraded", first: "11", commit: "eeb96b3", image: "deg", tag: "v1", known: before("1037067"), want: usual},
	{name: "first", recording: "07-two-commits-1", commit: "71f00cc", image: "myshop-api", tag: "main-a7a4b229", known: with(before("61042c8"), "2542464", OtherTag),
		want: "waiting syncing superseded", words: []string{"the file has another tag at 2542464"}},
	{name: "second", recording: "07-two-commits-1", commit: "2542464", image: "myshop-api", tag: "main-b7a4b2fc", known: before("61042c8", "71f00cc"), want: usual,
		words: []string{"blocked by the sync of 71f00cc"}},
	{name: "first", recording: "07-two-commits-2", commit: "f45df09", image: "myshop-api", tag: "main-a7a4c8fc", known: before("2542464"), want: usual},
	{name: "second", recording: "07-two-commits-2", commit: "c52ffa6", image: "myshop-api", tag: "main-b7a4ca12", known: before("2542464", "f45df09"), want: usual},
	{name: "first", recording: "07-two-commits-3", commit: "364e729", image: "myshop-api", tag: "main-a7a4fbd5", known: with(before("c52ffa6"), "0d637a3", OtherTag),
		want: "waiting syncing progressing superseded"},
	{name: "second", recording: "07-two-commits-3", commit: "0d637a3", image: "myshop-api", tag: "main-b7a4fc91", known: before("c52ffa6", "364e729"), want: usual},
	{name: "no webhook", recording: "08-refresh", commit: "87f2d8d", image: "myshop-api", tag: "main-7a513cb", known: before("0d637a3"), want: usual},
	{name: "live at the first look", recording: "10-others-commits", app: "shop-plain", commit: "dc468d8", image: "plain", tag: "v2", want: "healthy", unasked: true},
	{name: "a later commit of others", recording: "10-others-commits", first: "04", app: "shop-plain", commit: "dc468d8", image: "plain", tag: "v2",
		known: map[string]Containment{"014647e": Contained}, want: "healthy", unasked: true},
	{name: "a later commit, not rendered", recording: "10-others-commits", first: "08", app: "shop-gen", commit: "dc468d8", image: "gen", tag: "v2",
		known: map[string]Containment{"014647e": Contained}, want: "healthy", unasked: true},
	{name: "never compared with ours", recording: "11-buried", app: "shop-gen", commit: "59028b8", image: "gen", tag: "v3", known: map[string]Containment{"54be5a9": Contained},
		want: "syncing healthy", unasked: true},
	{name: "renders the same", recording: "12-no-effect", commit: "08b090b", image: "myshop-api", tag: "main-7a62978", known: before("54be5a9"), want: "waiting healthy"},
	{name: "the second source is ours", recording: "14-multi-source", sources: []int{1}, commit: "84ab7a1", image: "myshop-api", tag: "m1795693166", known: before("028a682"), want: usual},
	{name: "team-a", recording: "15-any-namespace", last: "02", commit: "5f0b87c", image: "myshop-api", tag: "main-7a62978", want: "healthy", unasked: true},
	{name: "promoted", recording: "16-rollout-paused-promoted", commit: "e01cc0c", image: "canary", tag: "c2", known: before("adcadf6"),
		want: "waiting syncing progressing paused progressing healthy", words: []string{"Rollout canary: CanaryPauseStep"}},
	{name: "aborted", recording: "17-rollout-aborted", commit: "145816e", image: "canary", tag: "c3", known: with(before("e01cc0c"), "daeb28b", OtherTag),
		want: "waiting syncing progressing paused degraded", words: []string{"RolloutAborted: Rollout aborted update to revision 12"}},
	{name: "reverted in git", recording: "17-rollout-aborted", first: "17", commit: "daeb28b", image: "canary", tag: "c2", known: before("e01cc0c", "145816e"), want: usual},
	{name: "bad image", recording: "18-rollout-bad-image", commit: "291e665", image: "canary", tag: "bad-c4", known: before("daeb28b"),
		want: "waiting syncing progressing degraded", words: []string{"ProgressDeadlineExceeded", "ImagePullBackOff: " + notPulled}},
	{name: "the window ends", recording: "19-sync-window", commit: "89afb22", image: "win", tag: "v2", known: before("1e22e82"), want: usual,
		words: []string{"OutOfSync, and Argo CD has not begun to sync it"}},
	{name: "live", recording: "20-never-synced-though-live", commit: "bda26ce", image: "prune", tag: "v2", known: before("41fa3d7"),
		want: "waiting syncing healthy", words: []string{notSince, "OutOfSync besides: ConfigMap extra"}},
	{name: "and back", recording: "21-controller-down", commit: "2cfa2bb", image: "myshop-api", tag: "main-7a99554", known: before("08b090b", "54be5a9"), want: usual},
	{name: "and back", recording: "22-git-away", commit: "f021728", image: "myshop-api", tag: "main-7aa14e8", known: before("2cfa2bb"), want: usual,
		words: []string{"repository not found"}},
	{name: "child", recording: "25-app-of-apps-and-set", app: "child-dev", commit: "3bc440f", image: "myshop-api", tag: "main-7abca65", want: "healthy", unasked: true},
	{name: "of a set", recording: "25-app-of-apps-and-set", app: "set-dev", commit: "3bc440f", image: "myshop-api", tag: "main-7abca65",
		known: map[string]Containment{"0a35efe": Contained}, want: "healthy", unasked: true},
	{name: "while it is followed", recording: "26-deleted", commit: "f021728", image: "myshop-api", tag: "main-8", known: before("0a35efe"), want: "waiting gone",
		words: []string{"the Application is being deleted"}},
	{name: "found gone", recording: "26-deleted", first: "03", commit: "f021728", image: "myshop-api", tag: "main-8", want: "gone", unasked: true},
	{name: "the fix waits", recording: "29-retry-blocks-newer", commit: "25dee48", image: "blk", tag: "v3", known: before("eaed3e1", "a00e5b5"), want: usual,
		words: []string{"blocked by the sync of eaed3e1, retry 1", "blocked by the sync of eaed3e1, retry 5", "waiting for completion of hook batch/Job/migrate"}},
	{name: "the fix is taken", recording: "30-retry-refresh", commit: "25dee48", image: "blr", tag: "v3", known: before("eaed3e1", "a00e5b5"), want: usual,
		words: []string{"blocked by the sync of eaed3e1, retry 1", "Retrying operation with latest revisions. Attempt #2"}},
	{name: "first look of all", recording: "31-newborn", commit: "25dee48", image: "myshop-api", tag: "main-7b6ded9", want: usual,
		words: []string{"has not compared the Application with git yet"}},
	{name: "no path", recording: "32-invalid-spec", app: "shop-nopath", commit: "25dee48", image: "myshop-api", tag: "main-8", want: "waiting",
		words: []string{"app path does not exist"}},
	{name: "no cluster", recording: "32-invalid-spec", app: "shop-nocluster", commit: "25dee48", image: "myshop-api", tag: "main-8", want: "waiting",
		words: []string{"InvalidSpecError: error getting cluster by server"}},
	{name: "off", recording: "33-automated-disabled", last: "03", commit: "756dc0f", image: "paus", tag: "v2", known: before("c51222d"), want: "waiting person"},
	{name: "then pinned", recording: "33-automated-disabled", commit: "756dc0f", image: "paus", tag: "v2", known: before("c51222d"), want: "waiting person waiting"},
	{name: "smoke test", recording: "35-postsync-fails", commit: "96c1be0", image: "post", tag: "v2", known: before("f3b8cb8"), want: "waiting syncing sync_failed",
		words: []string{"waiting for completion of hook batch/Job/smoke", "PostSync Job smoke: Job has reached the specified backoff limit"}},
}

// Every recorded story goes through the right states, in their order, and tells why.
func TestStories(t *testing.T) {
	for _, s := range stories {
		t.Run(s.recording+" "+s.name, func(t *testing.T) {
			t.Parallel()
			went, final, asked := s.play(t)
			if got := words(states(went)); got != s.want {
				t.Errorf("it went through\n%s, want\n%s", got, s.want)
			}
			for _, w := range s.words {
				if !slices.ContainsFunc(went, func(line string) bool { return strings.Contains(line, w) }) {
					t.Errorf("no reason has %q:\n%s", w, strings.Join(went, "\n"))
				}
			}
			if asked.Refresh == s.unasked {
				t.Errorf("a refresh was asked for: %t", asked.Refresh)
			}
			if strings.HasSuffix(final.Reason, ".") && !strings.HasSuffix(final.Reason, "...") {
				t.Errorf("%q ends with a full stop", final.Reason)
			}
		})
	}
}

func words(all []gitops.RolloutState) string {
	var text []string
	for _, s := range all {
		text = append(text, string(s))
	}
	return strings.Join(text, " ")
}
