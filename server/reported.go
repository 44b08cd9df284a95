package server

import (
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/config"
)

// reported is how long updates have to run in an environment, where reports say whether they
// do. The error's code is Conflict where somebody else says it.
func (g *generation) reported(environment string) (time.Duration, error) {
	switch by := g.config.Environments[environment].Rollout; by.By {
	case config.ByReports:
		return by.Timeout, nil
	case config.ByArgoCD:
		return 0, gitops.Errorf(gitops.Conflict, "tallyman asks Argo CD what runs in %s, and takes no reports of it: leave them out, or set environments.%[1]s.rollout.by: reports", environment)
	}
	return 0, gitops.Errorf(gitops.Conflict, "it is not followed what runs in %s: set environments.%[1]s.rollout.by: reports", environment)
}
