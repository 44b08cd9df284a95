package server

import (
	"context"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/routing"
)

// laneWriter writes as the router does. Where the update of an app fails that a branch
// names, it looks at the branch before anybody is told: the files may just have moved. What
// is known changes then, and the lane tries again by that.
type laneWriter struct {
	*routing.Router
	server *Server
}

// lookPatience is how long a lane waits for such a look.
const lookPatience = 10 * time.Second

// Write implements lane.Writer.
func (w laneWriter) Write(ctx context.Context, tasks []gitops.WriteTask) (gitops.WriteResult, error) {
	result, err := w.Router.Write(ctx, tasks)
	if branches := w.branchesOfFailed(tasks, result); len(branches) > 0 {
		ctx, cancel := context.WithTimeout(ctx, lookPatience)
		defer cancel()
		for manifests := range branches {
			w.server.finder.lookNow(ctx, manifests)
		}
	}
	return result, err
}

// branchesOfFailed are the manifest repositories whose branches name an app that an update
// failed of.
func (w laneWriter) branchesOfFailed(tasks []gitops.WriteTask, result gitops.WriteResult) map[string]bool {
	failed := make(map[string]bool)
	for _, t := range result.Transitions {
		if t.Action == gitops.ActionFail {
			failed[t.Update] = true
		}
	}
	branches := make(map[string]bool)
	if len(failed) == 0 {
		return branches
	}
	known := w.server.current().known()
	for _, task := range tasks {
		to, ok := known.Target(task.Update.Environment, task.Update.App)
		if ok && failed[task.Update.ID] && to.Origin != "" {
			branches[to.Manifests] = true
		}
	}
	return branches
}
