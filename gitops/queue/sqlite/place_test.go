package sqlite_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/sqlite"
)

// exported are the ids of the deliveries in a backup.
func exported(t *testing.T, path string) (ids []string, err error) {
	t.Helper()
	for e, err := range sqlite.Export(t.Context(), path) {
		if err != nil {
			return nil, err
		}
		if e.Delivery != nil {
			ids = append(ids, e.Delivery.ID)
		}
	}
	return ids, nil
}

// TestImportThatDied has the process die after each step of putting the new store in its
// place. The next start has the old store or the new one, each with all that it held, and
// goes on with the steps that are left.
func TestImportThatDied(t *testing.T) {
	const aside = ".replaced-TIME"
	for _, c := range []struct {
		name  string
		moves [][2]string // suffixes, from and to
		want  string
	}{
		{"while it was written", nil, "old"},
		{"once it was decided", [][2]string{{".restoring", ".restored"}}, "new"},
		{"before the old file was moved", [][2]string{{".restoring", ".restored"}, {"-wal", aside + "-wal"}}, "new"},
		{"before the new file was moved", [][2]string{{".restoring", ".restored"}, {"-wal", aside + "-wal"}, {"", aside}}, "new"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			path, made := filepath.Join(dir, "queue.db"), filepath.Join(dir, "made.db")
			crashed(t, path, "old")
			if _, err := sqlite.Import(t.Context(), made, one("new"), queue.ImportOptions{}); err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(made)
			if err != nil {
				t.Fatal(err)
			}
			old := strings.Replace(aside, "TIME", info.ModTime().UTC().Format("20060102T150405.000000000Z"), 1)
			for _, move := range append([][2]string{{"", ".restoring"}}, c.moves...) {
				from, to := path+move[0], path+strings.Replace(move[1], aside, old, 1)
				if move[1] == ".restoring" {
					from = made
				}
				if err := os.Rename(from, to); err != nil {
					t.Fatal(err)
				}
			}
			if c.want == "new" {
				// A backup would be of the old file, without its WAL, or of none.
				if ids, err := exported(t, path); gitops.CodeOf(err) != gitops.Unavailable || !strings.Contains(gitops.PublicOf(err), "was interrupted") {
					t.Errorf("a backup has %q, %v", ids, err)
				}
			}
			if len(c.moves) > 1 {
				write(t, path+"-wal", nil) // of another program that looked at the file; it holds nothing
			}
			if len(c.moves) > 2 {
				if err := sqlite.MarkRestored(t.Context(), path); err != nil {
					t.Errorf("--mark-only instead of a start: %v", err)
				}
			}
			holds(t, path, c.want)
			if c.want == "new" {
				holds(t, path+old, "old")
			}
			if left, _ := filepath.Glob(path + ".rest*"); len(left) > 0 {
				t.Errorf("there is still %q", left)
			}
		})
	}
}

// TestAJournalIsSetAside has the file that is replaced leave a rollback journal, as one of
// another program does that was killed: SQLite would play it back into the new file.
func TestAJournalIsSetAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	write(t, path, []byte("no database"))
	write(t, path+"-journal", []byte("what was there before"))
	done, err := sqlite.Import(t.Context(), path, one("new"), queue.ImportOptions{Replace: true})
	if err != nil {
		t.Fatal(err)
	}
	if kept, err := os.ReadFile(done.Aside + "-journal"); err != nil || string(kept) != "what was there before" {
		t.Errorf("the journal is %q, %v", kept, err)
	}
	if _, err := os.Stat(path + "-journal"); err == nil {
		t.Error("the journal is beside the new file")
	}
	holds(t, path, "new")
}
