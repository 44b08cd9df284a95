package manifest

import (
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

var (
	firstDigest = "sha256:" + strings.Repeat("1", 64)
	otherDigest = "sha256:" + strings.Repeat("2", 64)
)

// inspected is an update whose image has a digest.
func inspected(u gitops.Update, digest string) gitops.Update {
	u.Found = &gitops.Found{Digest: digest, At: time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)}
	return u
}

// presetWriter is a writer of values files of a preset's layout, with the digest in its
// subjects.
func (o *origin) presetWriter(preset, content string) *Writer {
	o.Helper()
	targets, ok := values.Preset(preset)
	if !ok {
		o.Fatalf("no preset %s", preset)
	}
	edit, err := values.Compile(values.Bind(targets, values.Names{App: "shop", Environment: "dev", Repository: "ghcr.io/acme/shop"}))
	if err != nil {
		o.Fatal(err)
	}
	file := testFile("dev", "shop")
	o.commit(gitserver.Change{Message: "a layout", Files: map[string]string{file: content}})
	return o.writer(func(c *Config) {
		c.Subject = "{app} {tag} {digest}"
		c.Target = func(string, string) (Target, error) {
			return Target{Files: []FileEdit{{File: file, Editor: edit}}}, nil
		}
	})
}

// What the registry named is written where the update has no digest of its own, into files
// and messages, and is told with the result, also where the file has it already.
func TestTheDigestThatWasFoundIsWritten(t *testing.T) {
	t.Parallel()
	for preset, content := range map[string]string{
		"helm-digest":      "image:\n  tag: \"1\"\n  digest: \"\"\n",
		"kustomize-digest": "images:\n- name: shop\n  newTag: \"1\"\n",
		"helm":             "image:\n  tag: \"1\"\n",
	} {
		t.Run(preset, func(t *testing.T) {
			t.Parallel()
			o := newOrigin(t)
			w := o.presetWriter(preset, content)
			u := inspected(o.update("dev", "shop", "2"), firstDigest)
			written := o.write(w, u)[0]
			if written.Action != gitops.ActionCommit || written.Found != u.Found {
				t.Fatalf("got %+v", written)
			}
			if subject := o.git("log", "-1", "--format=%s", "main"); subject != "shop 2 "+firstDigest {
				t.Errorf("the subject is %q", subject)
			}
			file := o.git("show", "main:"+testFile("dev", "shop"))
			if want := preset != "helm"; strings.Contains(file, firstDigest) != want || !strings.Contains(file, `"2"`) {
				t.Errorf("the file is\n%s", file)
			}
			again := inspected(o.update("dev", "shop", "2"), firstDigest)
			if confirmed := o.write(w, again)[0]; confirmed.Action != gitops.ActionConfirm || confirmed.Found != again.Found {
				t.Errorf("the same again ends as %+v", confirmed)
			}
		})
	}
}

// Without a digest of either kind the update fails, and says what to do.
func TestADigestThatNobodyNames(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := o.presetWriter("helm-digest", "image:\n  tag: \"1\"\n  digest: \"\"\n")
	failed := o.write(w, o.update("dev", "shop", "2"))[0]
	const want = "the update names none: order it with its digest, or set image under its environment"
	if failed.Action != gitops.ActionFail || failed.Code != gitops.Rejected || !strings.Contains(failed.Reason, want) {
		t.Errorf("got %+v, want %q", failed, want)
	}
}

// A store that was restored knows nothing of the digest that was written. The commit is found
// by its proof all the same, whatever the registry names by now, and is not written again.
func TestACommitWithAFoundDigestIsFoundAfterARestore(t *testing.T) {
	t.Parallel()
	for name, again := range map[string]func(gitops.Update) gitops.Update{
		"not inspected":         takenOver,
		"inspected":             func(u gitops.Update) gitops.Update { return inspected(takenOver(u), firstDigest) },
		"another image by now":  func(u gitops.Update) gitops.Update { return inspected(takenOver(u), otherDigest) },
		"came late":             func(u gitops.Update) gitops.Update { u.Recovered = true; return inspected(u, otherDigest) },
		"only to be looked for": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOrigin(t)
			w := o.presetWriter("helm-digest", "image:\n  tag: \"1\"\n  digest: \"\"\n")
			u := o.update("dev", "shop", "2")
			written := o.write(w, inspected(u, firstDigest))[0]
			tip := o.git("rev-parse", "main")
			task := gitops.WriteTask{Update: takenOver(u), SearchOnly: again == nil}
			if again != nil {
				task.Update = again(u)
			}
			next := o.writer()
			r, err := next.Write(t.Context(), []gitops.WriteTask{task})
			if err != nil || len(r.Transitions) != 1 {
				t.Fatalf("got %+v, %v", r, err)
			}
			found := r.Transitions[0]
			if found.Action != gitops.ActionCommit || found.Commit != written.Commit || found.Reason != "" {
				t.Errorf("got %+v, want the commit %s", found, written.Commit)
			}
			if found.Found != nil {
				t.Error("what the registry says now is told of a commit of before")
			}
			if now := o.git("rev-parse", "main"); now != tip {
				t.Errorf("the branch moved from %s to %s", tip, now)
			}
		})
	}
}

// A commit without a proof is ours by what it does, which the digest decides, too.
func TestAClaimOfAFoundDigest(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		digest string
		action gitops.Action
		landed bool
	}{
		"the same digest": {firstDigest, gitops.ActionCommit, true},
		"another digest":  {otherDigest, gitops.ActionCommit, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOrigin(t)
			o.git("config", "uploadpack.allowAnySHA1InWant", "true")
			w := o.presetWriter("helm-digest", "image:\n  tag: \"1\"\n  digest: \"\"\n")
			u := takenOver(o.update("dev", "shop", "2"))
			forged := o.commit(gitserver.Change{Message: "by hand\n\n" + u.Trailers(), Files: map[string]string{
				testFile("dev", "shop"): "image:\n  tag: \"2\"\n  digest: \"" + firstDigest + "\"\n",
			}})
			ends := o.write(w, inspected(u, c.digest))[0]
			if ends.Action != c.action || (ends.Commit == forged) != c.landed {
				t.Errorf("got %+v, by hand is %s", ends, forged)
			}
		})
	}
}
