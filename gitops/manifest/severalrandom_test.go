package manifest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// Whatever is written in whatever order, beside a person who changes and breaks single
// files, with pushes that fail and little memory: in the commit of an update, and after it,
// all of its files have its tag; and where an update failed none of them has changed.
func TestTheFilesOfAnAppAgreeAfterAnyUpdate(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			r := &severalRun{origin: severalOrigin(t, newOrigin), random: rand.New(rand.NewPCG(seed, 16)), want: make(map[string][]string)}
			for range 8 {
				r.disturb()
				r.round()
			}
			r.everyCommit()
		})
	}
}

type severalRun struct {
	*origin
	random *rand.Rand
	want   map[string][]string // tags of the files on the branch, by environment and app
}

func (r *severalRun) tags(environment, app string) []string {
	if r.want[environment+"/"+app] == nil {
		r.want[environment+"/"+app] = []string{"none", "none", "none"}
	}
	return r.want[environment+"/"+app]
}

// disturb is a person: one file of an app gets another tag, loses its key, or gets it back.
func (r *severalRun) disturb() {
	environment, app := testEnvironments[r.random.IntN(2)], testApps[r.random.IntN(len(testApps))]
	path, tag := chartFile(environment, app), fmt.Sprint("by-hand-", r.random.IntN(3))
	content, place := "appVersion: "+tag+"\n", 2
	switch r.random.IntN(4) {
	case 0:
		content, tag = "name: "+app+"\n", "?"
	case 1:
		path, content, place = testFile(environment, app), valuesFile(app, environment, tag), 1
	}
	r.commit(gitserver.Change{Files: map[string]string{path: content}})
	r.tags(environment, app)[place] = tag
}

// round writes a batch by a new process, which may have to do so twice.
func (r *severalRun) round() {
	settings := []func(*Config){severalFiles(r), func(c *Config) { c.Guard = &smallGuard{files: 1 + r.random.IntN(4)} }}
	if r.random.IntN(2) == 0 {
		settings = append(settings, squashing("dev"))
	}
	if r.random.IntN(3) == 0 {
		settings = append(settings, func(c *Config) { c.Limits.PushUpdates = 2 })
	}
	var batch []gitops.Update
	for range 1 + r.random.IntN(6) {
		batch = append(batch, r.update(testEnvironments[r.random.IntN(2)], testApps[r.random.IntN(len(testApps))], fmt.Sprint("v", r.random.IntN(3))))
	}
	if r.random.IntN(2) == 0 {
		r.server.Inject(gitserver.Fault{On: gitserver.Push, Apply: r.random.IntN(2) == 0, Cut: true})
	}
	settled, err := writeAll(r.Context(), r.writer(settings...), batch...)
	if err != nil {
		for i := range batch {
			batch[i] = takenOver(batch[i])
		}
		settled, err = writeAll(r.Context(), r.writer(settings...), batch...)
	}
	if err != nil || len(settled) != len(batch) {
		r.Fatalf("%d of %d updates have ended: %v", len(settled), len(batch), err)
	}
	r.server.Heal()
	for i, s := range settled {
		u := batch[i]
		tags := r.tags(u.Environment, u.App)
		if failed := slices.Contains(tags, "?"); failed != (s.Action == gitops.ActionFail) {
			r.Errorf("%s of %s in %s, whose files have %q, ended as %+v", u.Tag, u.App, u.Environment, tags, s)
		}
		if s.Action != gitops.ActionFail {
			for n := range tags {
				tags[n] = u.Tag
			}
		}
	}
	for key, tags := range r.want {
		environment, app, _ := strings.Cut(key, "/")
		r.wantTags(fmt.Sprintf("after %d updates", len(r.updates)), environment, app, tags...)
	}
}

// everyCommit holds the files of each commit against its updates.
func (r *severalRun) everyCommit() {
	log := r.log()
	wrote := 0
	for _, c := range log {
		last := make(map[string]gitops.Update)
		for _, id := range c.Updates {
			u := r.updates[id]
			last[u.Environment+"/"+u.App] = u
			wrote++
		}
		for _, u := range last {
			for n, tag := range r.tagsAt(c.Hash, u.Environment, u.App) {
				if tag != u.Tag {
					r.Errorf("commit %s of %s to %s in %s has %s in file %d", c.Hash, u.App, u.Tag, u.Environment, tag, n)
				}
			}
		}
	}
	if wrote == 0 {
		r.Error("no commit has an update")
	}
}
