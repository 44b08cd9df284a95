package server

import (
	"cmp"
	"errors"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/history"
	"github.com/tallyman-dev/tallyman/gitops/values"
	"github.com/tallyman-dev/tallyman/server/budget"
	"github.com/tallyman-dev/tallyman/server/config"
)

// leastSnapshot holds a few hundred files.
const leastSnapshot = 1 << 20

// fileLimits bound what is parsed, and what is held of the branch, by their shares of
// the memory:
//
//   - Parsers: the guard gives out no more than the share, so all files that are parsed
//     at a time take at most that; the largest file that is allowed takes no more.
//   - Snapshot: half of the share for one state of the branch, directories and files
//     together. While the branch moves, and as long as a reader has an old view, there
//     are two. Several manifest repositories divide it equally: their sum is the same.
//   - Search: all of it, which several manifest repositories divide equally, too.
func fileLimits(c config.Limits, shares budget.Shares, repositories int) (file values.Limits, snapshot int64, err error) {
	file = values.Limits{Bytes: int(c.File.Bytes), Nodes: int(c.File.Nodes)}
	fits := values.NodesWithin(shares.Parsers, file.Bytes)
	var problems []error
	if file.Nodes > fits {
		problems = append(problems, gitops.FieldErrorf("limits.file.nodes", "is %d, and of files of %s only %d nodes fit into the %s that %s has for parsing: give at most that, or raise limits.memory",
			file.Nodes, budget.Text(int64(file.Bytes)), fits, budget.Text(shares.Parsers), budget.Text(shares.Memory)))
	}
	file.Nodes = cmp.Or(file.Nodes, min(values.Limits{}.WithDefaults().Nodes, fits))
	snapshot = int64(c.Snapshot)
	if most := shares.Snapshot / 2; snapshot > most || snapshot != 0 && snapshot < leastSnapshot {
		problems = append(problems, gitops.FieldErrorf("limits.snapshot", "must be %s to %s, which is half of what %s has for the branch: raise limits.memory for more",
			budget.Text(leastSnapshot), budget.Text(most), budget.Text(shares.Memory)))
	}
	snapshot = cmp.Or(snapshot, shares.Snapshot/2)
	if most := min(snapshot/leastSnapshot, shares.Search/history.LeastMemory(int64(file.Bytes))); int64(repositories) > most {
		problems = append(problems, gitops.FieldErrorf("repositories", "with manifests there are %d, and %s has room for %d: raise limits.memory, or limits.snapshot where it is set",
			repositories, budget.Text(shares.Memory), most))
	}
	return file, snapshot, errors.Join(problems...)
}
