package manifest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/edit"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// smallGuard has memory for so many files, and does not let those wait that hold some.
type smallGuard struct {
	edit.Unguarded
	files  int
	held   int
	waited int
}

func (g *smallGuard) Enter(_ context.Context, _ gitops.ParsedObject, _ int64, wait bool) (func(), error) {
	switch {
	case wait && g.held > 0:
		return nil, errors.New("deadlock: it waits and holds what others wait for")
	case wait:
		g.waited++
	case g.held == g.files:
		return nil, nil
	}
	g.held++
	return func() { g.held-- }, nil
}

// An update whose files do not fit into the memory for parsing together is written all the
// same, one file after the other; and one that fails at its last leaves the others alone.
func TestFilesThatAreNotParsedTogether(t *testing.T) {
	t.Parallel()
	for files := 1; files <= 3; files++ {
		o := severalOrigin(t, newOrigin, chartFile("dev", "shop"))
		g := &smallGuard{files: files}
		w := o.writer(severalFiles(o), func(c *Config) { c.Guard = g })
		settled := o.write(w, o.update("dev", "cart", "v1"), o.update("dev", "shop", "v1"), o.update("dev", "mail", "v1"), o.update("dev", "cart", "v2"))
		what := fmt.Sprintf("memory for %d files", files)
		for i, s := range settled {
			if want := map[bool]gitops.Action{true: gitops.ActionFail, false: gitops.ActionCommit}[i == 1]; s.Action != want {
				t.Errorf("%s: update %d ended as %+v, want %s", what, i, s, want)
			}
		}
		o.wantTags(what, "dev", "cart", "v2", "v2", "v2")
		o.wantTags(what, "dev", "mail", "v1", "v1", "v1")
		o.wantTags(what, "dev", "shop", "none", "none", "-")
		if err := w.Close(); err != nil || g.held != 0 || g.waited == 0 {
			t.Errorf("%s: %d files are held afterwards, and it waited %d times, %v", what, g.held, g.waited, err)
		}
	}
}

// A commit without a proof has landed an update only when it does the edits of all of its
// files, and nothing else.
func TestAClaimIsOfAllFiles(t *testing.T) {
	t.Parallel()
	all := func(tag string) map[string]string {
		shop := strings.ReplaceAll("shop: {tag: none}\ncart: {tag: none}\nmail: {tag: none}\nauth: {tag: none}\n", "shop: {tag: none", "shop: {tag: "+tag)
		return map[string]string{allFile("dev"): shop, testFile("dev", "shop"): strings.Replace(valuesFile("shop", "dev", "none"), "none", tag, 1), chartFile("dev", "shop"): "name: shop\nappVersion: " + tag + "\n"}
	}
	for name, c := range map[string]struct {
		change func(files map[string]string)
		landed bool
	}{
		"all of them":          {func(map[string]string) {}, true},
		"all but the first":    {func(files map[string]string) { delete(files, allFile("dev")) }, false},
		"all but the last":     {func(files map[string]string) { delete(files, chartFile("dev", "shop")) }, false},
		"another tag in one":   {func(files map[string]string) { files[chartFile("dev", "shop")] = "name: shop\nappVersion: v9\n" }, false},
		"and one file more":    {func(files map[string]string) { files["NOTES.md"] = "x\n" }, false},
		"and another of its":   {func(files map[string]string) { files[chartFile("prod", "shop")] = "name: shop\nappVersion: v1\n" }, false},
		"a key more in a file": {func(files map[string]string) { files[chartFile("dev", "shop")] += "more: v1\n" }, false},
	} {
		o := severalOrigin(t, newOrigin)
		o.git("config", "uploadpack.allowAnySHA1InWant", "true")
		u := takenOver(o.update("dev", "shop", "v1"))
		files := all("v1")
		c.change(files)
		by := o.commit(gitserver.Change{Message: "fix: by hand\n\n" + u.Trailers(), Files: files})
		o.commit(gitserver.Change{Files: all("v0")})
		settled := o.write(o.writer(severalFiles(o)), u)
		if landed := settled[0].Commit == by; landed != c.landed || settled[0].Action != gitops.ActionCommit {
			t.Errorf("%s: %+v, made by hand was %s", name, settled[0], by)
		}
		if !c.landed {
			o.wantTags(name, "dev", "shop", "v1", "v1", "v1")
		}
	}
}

// A push whose result is unknown is found on the branch or made again, with all of its
// files in either case; and when the next push meets the same, too.
func TestAllFilesOrNoneAfterAPushThatWentWrong(t *testing.T) {
	overEach(t, func(t *testing.T, newOrigin origins) {
		for _, applied := range []bool{false, true} {
			o := severalOrigin(t, newOrigin)
			w := o.writer(severalFiles(o), squashing("dev"))
			if err := w.Handshake(t.Context()); err != nil {
				t.Fatal(err)
			}
			for n, tag := range []string{"v1", "v2"} {
				u := o.update("dev", "shop", tag)
				o.server.Inject(gitserver.Fault{On: gitserver.Push, Apply: applied, Cut: true, Before: func() {
					o.server.Inject(gitserver.Fault{On: gitserver.PushRefs, Cut: true, Times: -1})
				}})
				if _, err := writeAll(t.Context(), w, u); gitops.CodeOf(err) != gitops.Unavailable {
					t.Fatalf("got %v, want unavailable", err)
				}
				had := o.tagsOf("dev", "shop")
				if had[0] != had[1] || had[1] != had[2] {
					t.Fatalf("half of an update is on the branch: %q", had)
				}
				o.server.Heal()
				w = o.writer(severalFiles(o), squashing("dev")) // the process has died
				if s := o.write(w, takenOver(u)); s[0].Action != gitops.ActionCommit {
					t.Errorf("taken %t: ended as %+v", applied, s[0])
				}
				o.wantTags("after the fault", "dev", "shop", tag, tag, tag)
				if commits := strings.Count(o.git("log", "--format=%B", "main"), gitops.TrailerUpdate+": "); commits != n+1 {
					t.Errorf("taken %t: %d updates are on the branch, want %d", applied, commits, n+1)
				}
			}
		}
	})
}

// The version that must not go down is that of the first file.
func TestTheFirstFileHasTheVersion(t *testing.T) {
	t.Parallel()
	o := severalOrigin(t, newOrigin)
	w := o.writer(severalFiles(o))
	o.write(w, o.update("prod", "shop", "2.0.0"))
	o.commit(gitserver.Change{Files: map[string]string{chartFile("prod", "shop"): "name: shop\nappVersion: 3.0.0\n"}})
	up, down := o.update("prod", "shop", "2.1.0"), o.update("prod", "shop", "1.9.0")
	up.OnlyUp, down.OnlyUp = true, true
	settled := o.write(w, up, down)
	if settled[0].Action != gitops.ActionCommit || settled[1].Action != gitops.ActionSupersede || !strings.Contains(settled[1].Reason, "which is in "+allFile("prod")) {
		t.Errorf("%+v", settled)
	}
	o.wantTags("after", "prod", "shop", "2.1.0", "2.1.0", "2.1.0")
}

// The files of one update have a bound together, and none of them may be there twice.
func TestTargetsThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	o := severalOrigin(t, newOrigin)
	large := "# " + strings.Repeat("x", 3000) + "\n"
	o.commit(gitserver.Change{Files: map[string]string{testFile("dev", "shop"): valuesFile("shop", "dev", "none") + large, chartFile("dev", "shop"): "appVersion: none\n" + large}})
	w := o.writer(severalFiles(o), func(c *Config) {
		c.Limits.PushBytes = 5000
		usual := c.Target
		c.Target = func(environment, app string) (Target, error) {
			target, err := usual(environment, app)
			if app == "cart" {
				target.Files[2] = target.Files[0]
			}
			return target, err
		}
	})
	settled := o.write(w, o.update("dev", "shop", "v1"), o.update("dev", "cart", "v1"), o.update("dev", "mail", "v1"))
	if s := settled[0]; s.Code != gitops.TooLarge || !strings.HasPrefix(s.Reason, chartFile("dev", "shop")+": has ") {
		t.Errorf("files that are too large together: %+v", s)
	}
	if s := settled[1]; s.Code != gitops.Internal {
		t.Errorf("a file twice: %+v", s)
	}
	o.wantTags("after", "dev", "shop", "none", "none", "none")
	o.wantTags("after", "dev", "cart", "none", "none", "none")
	o.wantTags("after", "dev", "mail", "v1", "v1", "v1")
}
