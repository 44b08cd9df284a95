package notify_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/notify"
)

// What a template may not have is said when it is compiled, wherever it stands.
func TestTemplatesAreStrict(t *testing.T) {
	t.Parallel()
	for template, want := range map[string]string{
		"{{.Ap}}":                                "names .Ap, which is not a field; there are .Kind, .Title,",
		"{{if eq .Kind \"x\"}}{{.Nope}}{{end}}":  "names .Nope, which is not a field",
		"{{if .Lifted}}{{else}}{{.Nope}}{{end}}": "names .Nope, which is not a field",
		"{{.Title.Length}}":                      "names .Title.Length, which is not a field",
		"{{":                                     "is not a template: template:1: ",
		"{{printf \"%1000000s\" .App}}":          "calls printf; there are and, or, not, eq, ne",
		"{{.App | html}}":                        "calls html; there are",
		"{{call .App}}":                          "calls call; there are",
		"{{range 1000000000}}x{{end}}":           `has "{{range 1000000000}}x{{end}}": there are fields such as {{.App}}, if, else, end`,
		"{{with .App}}{{.}}{{end}}":              `has "{{with .App}}{{.}}{{end}}": there are fields`,
		"{{$a := .App}}x":                        "has the variable $a: write the field itself",
		"{{$.App}}":                              `has "$.App": there are fields`,
		"{{.}}":                                  `has ".": there are fields`,
		"{{define \"a\"}}{{template \"a\"}}{{end}}x": `defines "a": write one template, without define and block`,
		"{{template \"template\"}}":                  `has "{{template \"template\"}}": there are fields`,
		"{{eq .Lifted \"x\"}}":                       "cannot be used: ",
		"{{if (not (eq .App .Nope))}}x{{end}}":       "names .Nope, which is not a field",
		strings.Repeat("x", 5000):                    "has 5000 bytes; at most 4096",
	} {
		_, err := notify.ParseText(template, nil)
		if err == nil || gitops.CodeOf(err) != gitops.Invalid || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.60s: %v", template, err)
		}
	}
	for _, template := range []string{"", "plain", "{{.App}} {{- /* a comment */ -}}", `{{if and .Reason (ne .Kind "held")}}{{.Reason}}{{else if .Lifted}}x{{end}}`} {
		if _, err := notify.ParseText(template, nil); err != nil {
			t.Errorf("%s: %v", template, err)
		}
	}
}

// textOf is the text of the first message that a notifier of Slack with a template sends of
// a failure.
func textOf(t *testing.T, template, reason string, escape func(string) string) (text string) {
	t.Helper()
	play(t, func(w *world) {
		parsed, err := notify.ParseText(template, escape)
		w.must(err)
		ops := everything("ops")
		ops.Text = parsed
		p := w.start("this", ops)
		defer p.Stop()
		w.ends(w.order("prod", "web", "1.0.0", nil), gitops.ActionFail, reason)
		w.pass(time.Second)
		text = w.receiver("ops").newest().Text
	})
	return text
}

// What people wrote cannot make Slack notify a channel or show another link, in a default
// text and in a template of one's own; what the template itself has stays.
func TestSlackTextIsEscaped(t *testing.T) {
	t.Parallel()
	const attack = "<!channel> <@U1> <https://evil.example|docs> & <#C1>"
	const escaped = "&lt;!channel&gt; &lt;@U1&gt; &lt;https://evil.example|docs&gt; &amp; &lt;#C1&gt;"
	if text := textOf(t, "", attack, notify.EscapeSlack); text != "web 1.0.0 in prod failed: "+escaped+" (ann)" {
		t.Errorf("%q", text)
	}
	if text := textOf(t, "<!here> {{.App}}: {{.Reason}}", attack, notify.EscapeSlack); text != "<!here> web: "+escaped {
		t.Errorf("%q", text)
	}
	if text := textOf(t, "{{.Reason}}", attack, nil); text != attack { // which JSON takes as it is
		t.Errorf("%q", text)
	}
}

// A text is one line where it is somebody's, and bounded; a template that has nothing for a
// kind says what happened.
func TestTextsAreBounded(t *testing.T) {
	t.Parallel()
	if text := textOf(t, "{{.Reason}}|", "one\ntwo\r\n\tthree\x1b[31m \u202efour\u2028five", nil); text != "one two three [31m four five|" {
		t.Errorf("%q", text)
	}
	long := textOf(t, strings.Repeat("{{.Reason}}", 300), strings.Repeat("é", 2000), nil)
	if len(long) > notify.MaxText || len(long) < notify.MaxText-3 || !strings.HasSuffix(long, "é...") {
		t.Errorf("%d bytes, %q", len(long), long[len(long)-20:])
	}
	for _, template := range []string{`{{if eq .Kind "held"}}x{{end}}`, " ", `{{if eq .Kind "failed"}}{{if eq .Lifted .App}}x{{end}}{{end}}`} {
		if text := textOf(t, template, "why", nil); text != "web 1.0.0 in prod failed" {
			t.Errorf("%s: %q", template, text)
		}
	}
}

// A title names no more than a person reads, of a hold of a hundred apps, too. The message has
// them all.
func TestTheTitleOfAHoldOfManyApps(t *testing.T) {
	play(t, func(w *world) {
		ops := everything("ops")
		var err error
		ops.Text, err = notify.ParseText(`{{if eq .Kind "failed"}}x{{end}}`, nil)
		w.must(err)
		p := w.start("this", ops)
		defer p.Stop()
		apps := make([]string, gitops.MaxHoldNames)
		for i := range apps {
			apps[i] = fmt.Sprintf("app-%02d-%s", i, strings.Repeat("x", 90))
		}
		w.place(gitops.Hold{Kind: gitops.HoldStop, Environments: []string{"prod"}, Apps: apps})
		w.pass(time.Second)
		m := w.receiver("ops").newest()
		want := strings.Join(apps[:5], ", ") + " and 95 more in prod: writing is stopped"
		if m.Title != want || m.Text != want || len(m.Hold.Apps) != len(apps) {
			t.Errorf("%d apps: %s", len(m.Hold.Apps), m.Text)
		}
	})
}

// Texts of updates say what happened, to what, where, why and where to look.
func TestTextsOfUpdates(t *testing.T) {
	play(t, func(w *world) {
		p := w.start("this", everything("ops"))
		defer p.Stop()
		var got []string
		see := func() {
			w.pass(time.Second)
			got = append(got, w.receiver("ops").newest().Text)
		}
		held := w.order("prod", "web", "1.0.1", &gitops.Terms{Reason: "the fix"})
		w.block(held, gitops.BlockStop, "stopped by ben")
		see()
		w.report(queue.Report{
			Transitions: []gitops.Transition{{Update: held, Action: gitops.ActionPropose}},
			Proposals:   []queue.Proposed{{Update: held, Proposal: gitops.Proposal{Number: 7, URL: "https://git.example/pull/7"}}},
		})
		see()
		w.ends(held, gitops.ActionCommit, "")
		see()
		w.rollout(held, gitops.RolloutTimedOut, "syncing for 15m")
		see()
		late := w.order("prod", "web", "1.0.2", nil)
		w.ends(late, gitops.ActionCommit, "")
		w.rollout(late, gitops.RolloutSyncFailed, "no such kind")
		see()
		back := w.order("prod", "web", "1.0.1", &gitops.Terms{Reverts: late, RollsBack: "1.0.2", Reason: "no such kind"})
		w.ends(back, gitops.ActionConfirm, "")
		see()
		w.rollout(back, gitops.RolloutHealthy, "")
		see()
		const commit = "\nhttps://git.example/commit/2a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d"
		want := []string{
			"web 1.0.1 in prod is held: stopped by ben (ann)",
			"web 1.0.1 in prod waits in a pull request: the fix (ann)\nhttps://git.example/pull/7",
			"web 1.0.1 in prod is committed: the fix (ann)" + commit,
			"web 1.0.1 in prod did not come to run in time: syncing for 15m (ann)\nhttps://argocd.example/web",
			"web 1.0.2 in prod could not be applied: no such kind (ann)\nhttps://argocd.example/web",
			"web in prod went back from 1.0.2 to 1.0.1, since its rollout failed: no such kind (ann)",
			"web 1.0.1 in prod runs (ann)\nhttps://argocd.example/web",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

// Titles name what happened, to what, and where.
func TestTitles(t *testing.T) {
	play(t, func(w *world) {
		ops := everything("ops")
		var err error
		ops.Text, err = notify.ParseText("{{.Title}}", nil)
		w.must(err)
		p := w.start("this", ops)
		defer p.Stop()
		var got []string
		see := func() {
			w.pass(time.Second)
			got = append(got, w.receiver("ops").newest().Text)
		}
		until := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
		for _, h := range []gitops.Hold{
			{Kind: gitops.HoldPin, Environments: []string{"prod"}, Apps: []string{"web"}, Tag: "1.0.0", Until: until},
			{Kind: gitops.HoldFreeze, Environments: []string{"prod", "dev"}, Until: until},
			{Kind: gitops.HoldStop},
			{Kind: gitops.HoldBad, Apps: []string{"web"}, Tag: "1.0.1"},
		} {
			placed := w.place(h)
			see()
			w.lift(placed.ID)
			see()
		}
		want := []string{
			"web in prod is pinned to 1.0.0 until 2026-12-01T12:00:00Z", "web in prod is not pinned to 1.0.0 any more",
			"prod, dev: frozen until 2026-12-01T12:00:00Z", "prod, dev: not frozen any more",
			"every environment: writing is stopped", "every environment: writing goes on",
			"tag 1.0.1 of web in every environment is marked as bad", "tag 1.0.1 of web in every environment is not marked as bad any more",
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %q", got)
		}
	})
}
