package simulation

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
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

// plant is how many bugs are planted: each builds the simulation.
var plant = flag.Int("plant", 3, "how many of the planted bugs are played, evenly over the list; of the others only the place is looked for")

// TestPlantedBugsAreFound plants bugs in the service, one at a time, and wants the
// simulation to find each by what that bug does.
func TestPlantedBugsAreFound(t *testing.T) {
	all := slices.Concat(plantedBugs, plantedHoldBugs, plantedImageBugs, plantedPollBugs, plantedProposalBugs, plantedRolloutBugs)
	every := max(1, (len(all)+*plant-1)/max(1, *plant))
	atOnce := make(chan struct{}, 2) // compilers need memory
	for n, bug := range all {
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
