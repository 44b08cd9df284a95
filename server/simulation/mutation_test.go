package simulation

import (
	"os/exec"
	"strings"
	"testing"
)

// TestPlantedBugsAreFound builds the simulation with each of the bugs that are
// planted behind build tags, and wants it to find each by what that bug does.
func TestPlantedBugsAreFound(t *testing.T) {
	if testing.Short() {
		t.Skip("builds everything three times")
	}
	for tag, finds := range map[string]string{
		"mutation_fence":  "under token",
		"mutation_settle": "which was never on the branch",
		"mutation_edit":   "the commit of update",
	} {
		out, err := exec.Command("go", "test", "-tags", tag, ".", "-run", "TestSchedules", "-schedules", "60").CombinedOutput()
		if err == nil || !strings.Contains(string(out), finds) || !strings.Contains(string(out), "to play it again") {
			t.Errorf("%s was not found (%v), or not by %q:\n%.3000s", tag, err, finds, out)
		}
	}
}
