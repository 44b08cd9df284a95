package server

import (
	"flag"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/config"
)

var deliveries = flag.Int("deliveries", 400, "how many deliveries TestReloadUnderLoad sends")

// TestReloadUnderLoad changes the configuration again and again while deliveries come in:
// apps, rules, secrets, access and manifest repositories, and now and then a file that is
// wrong. Each delivery is
// judged by one configuration, and none is lost or doubled: what was accepted is committed,
// or cancelled where its app left.
func TestReloadUnderLoad(t *testing.T) {
	const reloads, senders = 50, 8
	each := *deliveries / senders
	s := newSite(t)
	// What the other repository has is as new as what is written in the first, and would count
	// as an edit by hand where an app moves there.
	s.edit("dev: {tags: {match: 'main-[0-9a-f]{7,40}'}}", "dev: {tags: {match: 'TAGS-[0-9]+'}, coalesce: COALESCE, handEdits: overwrite}")
	s.edit("secretFiles: ["+s.dir+"/old, "+s.dir+"/new]", "secretFiles: ["+s.dir+"/SECRET]")
	s.edit("access:\n", "limits: {refusedPerMinute: 100000}\naccess:\n")
	alone := s.yaml
	pay := s.addRepository("pay")
	_, err := pay.repository.Commit(gitserver.Change{Files: map[string]string{gitserver.ValuesFile("shop", "dev"): gitserver.Values("shop", "dev", "main-0000000")}})
	s.must(err)
	template := s.yaml
	set := func(n int) {
		even := n%2 == 0
		choose := func(a, b string) string {
			if even {
				return a
			}
			return b
		}
		yaml := template
		switch n % 4 { // a repository that is not there, is there, has changed, and has other apps
		case 0:
			yaml = alone
		case 1:
			yaml = strings.Replace(yaml, "shop/api}", "shop/api, manifests: pay}", 1)
		case 2:
			yaml = strings.NewReplacer("shop/api}", "shop/api, manifests: pay}", "{url: ", "{author: {name: Another Bot}, url: ").Replace(yaml)
		case 3:
			yaml = strings.Replace(yaml, "dev: {tags:", "dev: {manifests: pay, tags:", 1)
		}
		s.yaml = strings.NewReplacer("TAGS", choose("even", "odd"), "SECRET", choose("old", "new"), "COALESCE", choose("none", "newest"),
			"  worker: {environments: [dev]}", choose("  worker: {environments: [dev]}", "  shop: {environments: [dev]}")).Replace(yaml)
		if n%10 == 9 {
			s.yaml = strings.Replace(s.yaml, "environments:\n", "environments:\n  half: {tags: {match: '('}}\n", 1)
		}
	}
	set(0)
	s.addFile("shop", "dev")
	r := s.start()
	hashes := map[string]string{} // what tags a configuration takes, by its hash
	note := func() { hashes[configuration(r.current().config).Hash] = tagsOf(r.current().config) }
	note()

	var accepted sync.Map // what was ordered, by the update's id
	var sending sync.WaitGroup
	var sent atomic.Int64
	due := make(chan struct{}, each*senders) // a reload, spread over the deliveries
	for sender := range senders {
		sending.Go(func() {
			for i := range each {
				// The secret, the tag and the app are of one configuration or of the other.
				mixed := sender*each + i
				secret, tags, app := oldSecret, "even", []string{"api", "worker"}[mixed%2]
				if mixed%3 == 0 {
					secret, tags, app = newSecret, "odd", []string{"api", "shop"}[mixed%2]
				}
				if sent.Add(1)%int64(each*senders/reloads) == 0 {
					due <- struct{}{}
				}
				id := fmt.Sprintf("%d-%d", sender, i)
				answer := r.do(r.github(secret, id, order(app, "dev", fmt.Sprintf("%s-%d", tags, mixed))))
				switch answer.StatusCode {
				case http.StatusAccepted:
					for _, u := range answer.delivery(t, http.StatusAccepted).Updates {
						if _, twice := accepted.LoadOrStore(u.ID, u.Tag); twice {
							t.Errorf("update %s was accepted twice", u.ID)
						}
					}
				case http.StatusUnauthorized: // the other configuration was in force
				default: // the secret let it in, so the same configuration takes the tag and has the app
					t.Errorf("%s %s is answered %s %s", app, tags, answer.Status, answer.body)
				}
			}
		})
	}
	for n := 1; n <= reloads; n++ {
		<-due
		set(n)
		if err := s.reload(r); (err != nil) != (n%10 == 9) {
			t.Errorf("reload %d: %v", n, err)
		}
		note()
	}
	sending.Wait()

	count, judged := 0, r.configs()
	accepted.Range(func(id, tag any) bool {
		count++
		u := r.settled(id.(string))
		if takes := hashes[judged[u.ID]]; takes == "" || !strings.HasPrefix(u.Tag, takes) {
			t.Errorf("%s was accepted by a configuration that takes %q", u.Tag, takes)
		}
		switch {
		case u.State == gitops.Committed, u.State == gitops.Superseded, u.State == gitops.Unchanged:
		case u.State == gitops.Cancelled && u.App != "api": // it left
		default:
			t.Errorf("%s of %s is %s: %s", u.Tag, u.App, u.State, u.Reason)
		}
		return true
	})
	for id, n := range landed(t, s.repository, pay.repository) {
		if _, ours := accepted.Load(id); !ours || n != 1 {
			t.Errorf("update %s has %d commits", id, n)
		}
	}
	if n := len(s.subjects(pay.repository, "main")); n < 3 {
		t.Errorf("the second repository has %d commits: is this test blind?", n)
	}
	t.Logf("%d of %d deliveries were accepted", count, senders*each)
	if count < each {
		t.Errorf("only %d deliveries were accepted: is this test blind?", count)
	}
}

// tagsOf is how the tags begin that a configuration takes in dev.
func tagsOf(c config.Config) string {
	tags, _, _ := strings.Cut(c.Environments["dev"].Tags.Match, "-")
	return tags
}

// configs are the hashes of the configurations that updates were accepted by, by their ids.
func (r *running) configs() map[string]string {
	r.t.Helper()
	hashes, page := make(map[string]string), queue.Page{Limit: 500}
	for {
		found, next, err := r.store.AuditEntries(r.t.Context(), queue.AuditFilter{Act: gitops.ActOrder}, page)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, e := range found {
			hashes[e.Update] = e.Config
		}
		if page.Cursor = next; next == "" {
			return hashes
		}
	}
}

// landed counts the commits on the branches by the updates in their trailers.
func landed(t *testing.T, repositories ...*gitserver.Repository) map[string]int {
	t.Helper()
	counts := make(map[string]int)
	for _, r := range repositories {
		log, err := r.Git("log", "--format=%(trailers:key=Tallyman-Update,valueonly)", "main")
		if err != nil {
			t.Fatal(err)
		}
		for id := range strings.FieldsSeq(log) {
			counts[id]++
		}
	}
	return counts
}
