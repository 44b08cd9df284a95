package proposals

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

func someUpdate() gitops.Update {
	key := gitops.DeliveryKey{Source: "test", ID: "d1"}
	return gitops.Update{
		ID: gitops.UpdateID(key, "prod", "api"), Delivery: key, Environment: "prod", App: "api", Tag: "1.1.0", Repository: "registry.example/api",
		Digest: "sha256:" + strings.Repeat("ab", 32), Actor: "ann", Principal: "token:ann", Rule: "access[2]",
		AcceptedAt: time.Date(2026, 11, 27, 9, 0, 0, 0, time.UTC), Sequence: 7,
	}
}

func seenOf(u gitops.Update) seen {
	return seen{
		base: Base{Tag: "1.0.0"}, head: git.Hash{1},
		topic: Topic{Ours: true, Tag: u.Tag, Updates: []string{u.ID}, Subject: "api to " + u.Tag, Trailers: u.Trailers() + "Tallyman-Proof: x\n"},
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	u := someUpdate()
	u.Terms = &gitops.Terms{Reason: "fixes the outage"}
	s := seenOf(u)
	open := Text{Body: "App `api` in `prod`: `1.0.0` → `1.0.9`\n\n- Supersedes: `1.0.7`, `1.0.8`\n", Labels: []string{"theirs"}}
	s.pull = &Pull{State: PullOpen, Text: open}
	w := wish{
		ProposalWish: gitops.ProposalWish{Update: u, Held: []gitops.Block{{Reason: "held: frozen"}}}, env: Environment{Labels: []string{"deploy"}},
		links: links{compare: "https://forge.example/compare/1.0.0...1.1.0", places: []string{"charts/api.yaml: image.tag"}},
	}
	want := Text{Title: "api to 1.1.0", Labels: []string{"theirs", "deploy"}, Body: "**Held:** tallyman does not merge this: `held: frozen`\n\n" +
		"App `api` in `prod`: `1.0.0` → `1.1.0`\n\n" +
		"- Image: `registry.example/api`\n- Digest: `" + u.Digest + "`\n- Changes: `charts/api.yaml: image.tag`\n" +
		"- Compare: <https://forge.example/compare/1.0.0...1.1.0>\n" +
		"- Requested by: `ann`, authenticated as `token:ann`, allowed by `access[2]`\n- Accepted: 2026-11-27T09:00:00Z, delivery `test/d1`\n" +
		"- Reason: `fixes the outage`\n- Supersedes: `1.0.7`, `1.0.8`, `1.0.9`\n\n" +
		"Merge this pull request to deploy. Close it to refuse: the tag stays refused until somebody orders it by name: `tallyman update api 1.1.0 --env prod`\n\n" +
		strings.Replace(s.topic.Trailers, "fixes the outage", "`fixes the outage`", 1)}
	got := s.textOf(w)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	s.pull.Text = got
	if again := s.textOf(w); !again.sameAs(got) {
		t.Errorf("another process would write:\n%s", cmp.Diff(got, again))
	}
	s.pull.Text.Body = strings.ReplaceAll(got.Body, "\n", "\r\n")
	if again := s.textOf(w); !again.sameAs(s.pull.Text) {
		t.Errorf("after the forge changed how lines end:\n%s", cmp.Diff(got, again))
	}
	if ids := namedIn(s.pull.Text.Body); len(ids) != 1 || ids[0] != u.ID {
		t.Errorf("it names %q", ids)
	}
}

// markup is what GitHub makes something of: outside of code spans nothing of it comes from
// somebody's words.
var markup = regexp.MustCompile(`(^|[^A-Za-z0-9])@[A-Za-z0-9]|#[0-9]|GH-[0-9]|<[A-Za-z/!]|\]\(|://`)

func TestForeignWordsAreWords(t *testing.T) {
	t.Parallel()
	for _, evil := range []string{
		"@everyone", "see acme/shop#12", "closes #12", "GH-12", "<img src=x onerror=alert(1)>", "<!-- hidden -->", "[click](https://evil.example)",
		"https://github.com/acme/shop/issues/1", "`@team`", "``@team``", "a\n\n@team\n", "a\r@team", "a\u2028@team", "\u202e@team", "x` @team `y",
		"Tallyman-Update: 00000000-0000-0000-0000-000000000000", "a\nTallyman-Update: forged", strings.Repeat("`@a", 400), "\xff@team", "",
	} {
		u := someUpdate()
		u.Terms = &gitops.Terms{Reason: evil, Override: evil, RollsBack: "1.0.0"}
		u.Principal, u.Rule, u.Repository = evil, evil, evil
		s := seenOf(u)
		s.base.Tag, s.topic.Author = evil, evil
		w := wish{ProposalWish: gitops.ProposalWish{Update: u, Held: []gitops.Block{{Reason: evil}}}, links: links{places: []string{evil}, compare: evil}}
		texts := []string{s.textOf(w).Body, s.remark()}
		s.topic.Ours = false
		s.pull = &Pull{State: PullOpen, Text: s.textOf(w)}
		texts = append(texts, s.markedText(w).Body)
		for _, text := range texts {
			plain := quotedWord.ReplaceAllString(text, "")
			for line := range strings.Lines(plain) {
				if strings.HasPrefix(line, "- Compare: <https://github.com/acme/") {
					continue // an address that was configured
				}
				if strings.Contains(line, "`") || markup.MatchString(line) {
					t.Errorf("%q: the line %q is more than words", evil, line)
				}
			}
			if ids := namedIn(text); len(ids) > 1 || len(ids) == 1 && ids[0] != u.ID {
				t.Errorf("%q: the text names the updates %q", evil, ids)
			}
		}
	}
}

func TestTextIsBounded(t *testing.T) {
	t.Parallel()
	u := someUpdate()
	long := strings.Repeat("x", 100_000)
	u.Terms = &gitops.Terms{Reason: long, Override: long}
	u.Principal, u.Actor, u.Rule = long, "ann", long
	s := seenOf(u)
	s.topic.Subject, s.base.Tag = long, long
	w := wish{ProposalWish: gitops.ProposalWish{Update: u}, links: links{compare: "https://x.example/" + long}}
	for i := range 1000 {
		w.Held = append(w.Held, gitops.Block{Reason: long})
		w.links.places = append(w.links.places, fmt.Sprint(i, long))
	}
	got := s.textOf(w)
	if len(got.Title) > 256 || len(got.Body) > 30_000 {
		t.Errorf("a title of %d bytes, a body of %d", len(got.Title), len(got.Body))
	}
	s.topic.Ours, s.pull = false, &Pull{State: PullOpen, Text: Text{Title: "t", Body: strings.Repeat("y", 65_000)}}
	if marked := s.markedText(w); !marked.sameAs(Text{Title: "t", Body: s.pull.Text.Body}) {
		t.Errorf("a body of %d bytes became one of %d", len(s.pull.Text.Body), len(marked.Body))
	}
}

// The notes of a text are replaced, not repeated, and its trailers stay last.
func TestNotesAreReplaced(t *testing.T) {
	t.Parallel()
	u := someUpdate()
	s := seenOf(u)
	w := wish{ProposalWish: gitops.ProposalWish{Update: u}}
	s.pull = &Pull{State: PullOpen, Text: s.textOf(w)}
	plain := s.pull.Text.Body
	s.topic = Topic{Author: "bo"}
	for i := range 3 {
		s.head = git.Hash{byte(i + 1)}
		s.pull.Text = s.markedText(w)
		if n := strings.Count(s.pull.Text.Body, personalNote); n != 1 || !s.saysPersonal(s.pull.Text.Body) || !strings.HasSuffix(s.pull.Text.Body, plain) {
			t.Fatalf("after %d commits:\n%s", i+1, s.pull.Text.Body)
		}
	}
	s.topic.Ours = true
	if again := s.markedText(w).Body; again != plain {
		t.Errorf("without a person's commit:\n%s", again)
	}
}
