package postgres_test

import (
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// TestTheStatementOfARestore runs what docs/operations.md tells whoever restores a
// database to run: what is open may have been pushed since the backup, though the
// lane was free in it.
func TestTheStatementOfARestore(t *testing.T) {
	page, err := os.ReadFile("../../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	statements := regexp.MustCompile(`(?m)^    (UPDATE .*;)$`).FindAllSubmatch(page, -1)
	if len(statements) != 1 {
		t.Fatalf("the page has the statements %q", statements)
	}
	a := schema(t)
	s := open(t, a)
	if err := s.Release(t.Context(), claim(t, s, "one", "dev", time.Hour), true); err != nil {
		t.Fatal(err)
	}
	accept(t, s, order("1", "api"))
	execute(t, a, string(statements[0][1]))
	taken, err := s.Take(t.Context(), claim(t, s, "two", "dev", time.Hour), queue.TakeOptions{Limit: 1})
	if err != nil || len(taken) != 1 || !taken[0].MaybePushed {
		t.Errorf("after a restore: %+v, %v", taken, err)
	}
}
