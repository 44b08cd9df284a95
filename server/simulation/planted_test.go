package simulation

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// planted is a bug that a text in the service's place makes of it.
type planted struct {
	name string
	file string // below the repository's root
	old  string // is there exactly once
	new  string
	says string // what a violation says that it leads to
}

var plantedBugs = []planted{
	{
		"the store lets a lease be used that is no longer its holder's",
		"gitops/queue/queuetest/modellanes.go",
		"passed := held.held && held.token == l.Token && held.holder == l.Holder",
		"passed := held.held",
		"under token",
	},
	{
		"a push of an image reaches every environment that takes its tag",
		"server/webhook/authorize.go",
		"		in.authorizeUpdates(from, &d)\n",
		"",
		"may not order",
	},
	{
		"a dispatch that is forbidden is taken in all the same",
		"server/webhook/authorize.go",
		"		return in.refuseOrder(e, refused[0].Err)\n",
		"",
		"may not order",
	},
	{
		"half of an order is accepted",
		"gitops/policy/policy.go",
		"		updates, err := p.orders(e.Orders)\n",
		"		updates, err := p.orders(e.Orders[:(len(e.Orders)+1)/2])\n",
		"and of it was accepted",
	},
	{
		"a dispatch counts again under another id",
		"server/webhook/github/github.go",
		"event.BodyDigest = digestOf(d, payload)",
		"_ = digestOf(d, payload)",
		"which counts once",
	},
	{
		"results are reported before the push has landed",
		"gitops/manifest/push.go",
		"if p.commits > 0 && sent == nil {",
		"if p.commits > 0 {",
		"which was never on the branch",
	},
	{
		"after a lost race the old edit is put on the new tip",
		"gitops/manifest/actor.go",
		"	a.setSnapshot(next, time.Time{})\n",
		"	a.setSnapshot(&branch.Snapshot{Tip: next.Tip, Head: next.Head, Root: old.Root}, time.Time{})\n",
		"the commit of update",
	},
	{
		"a writer trusts the history that its first snapshot does not know",
		"gitops/landing/known.go",
		" || u.AcceptedAt.Before(l.UnknownBefore.Add(ClockSlack))",
		"",
		"was committed again",
	},
	{
		"the search ends where no clock differs",
		"gitops/landing/known.go",
		"return from.Add(-ClockSlack)",
		"return from",
		"was committed again",
	},
	{
		"whoever copies the line has the proof",
		"gitops/proof/proof.go",
		"hmac.Equal(given, mac(k.Secret, c, c.Message[:at]))",
		"len(given) > 0",
		"which was never on the branch",
	},
	{
		"a commit without a proof lands what it names",
		"gitops/landing/history.go",
		"return l, ok && l.Claim == nil",
		"return l, ok",
		"which was never on the branch",
	},
	{
		"a release counts without a proof",
		"gitops/landing/history.go",
		"if all, asked := h.byApp[of]; asked && l.Claim == nil {",
		"if all, asked := h.byApp[of]; asked {",
		"and nothing that came after it was written",
	},
	{
		"a report leaves the older updates open",
		"gitops/queue/queuetest/modelreport.go",
		"if !written[u.App] || u.Sequence > head.Written {",
		"if true {",
		"comes onto the branch after",
	},
	{
		"a report supersedes newer updates, too",
		"gitops/queue/queuetest/modelreport.go",
		"if !written[u.App] || u.Sequence > head.Written {",
		"if !written[u.App] {",
		"and nothing that came after it was written",
	},
	{
		"an update is cancelled without a look at the branch",
		"gitops/lane/batch.go",
		"case u.MaybePushed || u.CameLate() || t.sent[u.ID]:",
		"case (u.MaybePushed || u.CameLate() || t.sent[u.ID]) && u.CancelRequest == nil:",
		"ended as cancelled and is on the branch",
	},
	{
		"what the store has lost by a restore is written over",
		"gitops/trailer.go",
		"if t.Sequence > u.Sequence && t.Accepted.After(u.AcceptedAt) {",
		"if t.Sequence > u.Sequence && t.Accepted.Before(u.AcceptedAt) {",
		"comes onto the branch after",
	},
	{
		"an event is late when it is newer",
		"gitops/head.go",
		"m.Event.Unix() >= newest.Unix()",
		"m.Event.Unix() < newest.Unix()",
		"was superseded as late",
	},
	{
		"no event is late",
		"gitops/head.go",
		"m.Event.Unix() >= newest.Unix()",
		"m.Event.Unix() <= newest.Unix()+3600",
		"and was accepted as new",
	},
	{
		"an event that a wrong clock dated ahead makes all others late",
		"gitops/head.go",
		"if !at.After(m.Receipt) && at.After(newest) {",
		"if at.After(newest) {",
		"was superseded as late",
	},
	{
		"a lane repeats a report that the store does not know for ever",
		"gitops/lane/report.go",
		"case gitops.CodeOf(err) == gitops.Conflict, gitops.CodeOf(err) == gitops.NotFound:",
		"case gitops.CodeOf(err) == gitops.Conflict:",
		"was accepted and has not ended",
	},
	{
		"a push may lower the version",
		"gitops/policy/policy.go",
		"onlyUp: rule.constraint != nil && !c.Environments[name].Downgrades}",
		"onlyUp: false}",
		"of a push, lowers the version",
	},
	{
		"a push whose event is late is superseded whatever its version",
		"gitops/head.go",
		"if h.PushedVersion == \"\" || m.Version <= h.PushedVersion {",
		"if true {",
		"was superseded as late",
	},
	{
		"the delayed copy of a push undoes an order",
		"gitops/head.go",
		"if m.Recovered || h.OrderReceipt.Sub(m.Event) > receiptSlack {",
		"if m.Recovered {",
		"and was accepted as new",
	},
	{
		"a push is not compared with what a person wrote",
		"gitops/manifest/version.go",
		"if !gitops.LowerVersion(u.Tag, tag) {",
		"if gitops.LowerVersion(u.Tag, tag) {",
		"of a push, lowers the version",
	},
	{
		"what killed the process is parsed again for ever",
		"gitops/guard/guard.go",
		"if at := suspect.RetryAt(); at.IsZero() || time.Now().Before(at) {",
		"if at := suspect.RetryAt(); time.Now().Before(at) {",
		"processes, and may kill",
	},
	{
		"deaths are not added up",
		"gitops/queue/queuetest/modelparsing.go",
		"deaths := m.suspects[key.object].Deaths + 1",
		"deaths := 1",
		"processes, and may kill",
	},
	{
		"a file that is set aside stops its environment",
		"gitops/manifest/edit.go",
		"err != nil && gitops.CodeOf(err) != gitops.Rejected {",
		"err != nil {",
		"updates wait while nothing but files is set aside",
	},
	{
		"what was cleared stays set aside",
		"gitops/queue/queuetest/modelparsing.go",
		"	delete(m.suspects, object)\n	m.record(",
		"	m.record(",
		"was retried after its file was cleared, and failed again",
	},
	{
		"the files of an older commit are taken for the tip's",
		"gitops/manifest/claims.go",
		"kind: gitops.ParsedPast,",
		"kind: gitops.ParsedFile,",
		"processes, and may kill",
	},
	{
		"a suspect fetch is entered twice",
		"gitops/branch/source.go",
		"	return loaded, s.fetchFiles(ctx, loaded, s.Files())\n",
		"	return loaded, s.FetchFiles(ctx, loaded, s.Files())\n",
		"was accepted and has not ended",
	},
	{
		"a block never lifts",
		"gitops/queue/queuetest/modellanes.go",
		"if b.Until.IsZero() || b.Until.After(m.now()) {",
		"if b.Until.IsZero() || b.Until.After(b.Since) {",
		"was accepted and has not ended",
	},
}

// plant is how many bugs are planted: each builds the simulation.
var plant = flag.Int("plant", 6, "how many of the planted bugs are played, evenly over the list; of the others only the place is looked for")

// TestPlantedBugsAreFound plants bugs in the service, one at a time, and wants the
// simulation to find each by what that bug does.
func TestPlantedBugsAreFound(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the simulation for each bug")
	}
	every := max(1, (len(plantedBugs)+*plant-1)/max(1, *plant))
	atOnce := make(chan struct{}, 2) // compilers need memory
	for n, bug := range plantedBugs {
		t.Run(bug.name, func(t *testing.T) {
			if n%every != 0 {
				bug.around(t) // the place is there: `make planted` plays it
				return
			}
			overlay := bug.plant(t)
			t.Parallel()
			atOnce <- struct{}{}
			defer func() { <-atOnce }()
			out, err := exec.CommandContext(t.Context(), "go", "test", "-overlay", overlay, ".",
				"-run", "TestSchedules", "-schedules", "1000", "-until", bug.says).CombinedOutput()
			found := regexp.MustCompile(`seed=(\d+) -v`).FindAllSubmatch(out, -1)
			if err == nil || len(found) == 0 || !strings.Contains(string(out), bug.says) {
				t.Fatalf("not found (%v), or not by %q:\n%.3000s", err, bug.says, out)
			}
			t.Logf("found by seed %s", found[len(found)-1][1])
		})
	}
}

// plant writes the changed file and returns the overlay for it.
func (p planted) plant(t *testing.T) (overlay string) {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("../..", p.file))
	if err != nil {
		t.Fatal(err)
	}
	before, after := p.around(t)
	changed := filepath.Join(t.TempDir(), filepath.Base(p.file))
	replaced, err := json.Marshal(map[string]map[string]string{"Replace": {path: changed}})
	if err != nil {
		t.Fatal(err)
	}
	overlay = changed + ".json"
	for name, content := range map[string][]byte{changed: []byte(before + p.new + after), overlay: replaced} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return overlay
}

// around is the file's text before and after the place of the bug.
func (p planted) around(t *testing.T) (before, after string) {
	t.Helper()
	source, err := os.ReadFile(filepath.Join("../..", p.file))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(source), p.old); n != 1 {
		t.Fatalf("%s has %q %d times; the bug must be planted elsewhere", p.file, p.old, n)
	}
	before, after, _ = strings.Cut(string(source), p.old)
	return before, after
}
