package api

import (
	"net/http"

	"github.com/tallyman-dev/tallyman/gitops"
)

// verify compares what the registry, the branch, Argo CD and the cluster say of an app in an
// environment. A place that does not answer is in the answer, and is no error. It takes no turn:
// it may wait for them longer than others wait for theirs, and its answer is small.
func (a *API) verify(_ http.ResponseWriter, r *http.Request) (int, any, error) {
	q := queryOf(r)
	environment, app := q.text("environment"), q.text("app")
	for _, field := range []struct{ name, value string }{{"environment", environment}, {"app", app}} {
		if field.value == "" {
			q.fail(gitops.FieldErrorf(field.name, "is missing"))
		}
	}
	if err := q.done(); err != nil {
		return 0, nil, err
	}
	if !a.viewOf(callerOf(r)).scope.Allows(app, environment) {
		return 0, nil, notFound("app", app+" in "+environment)
	}
	if err := a.CheckNames([]string{environment}, []string{app}); err != nil {
		return 0, nil, err
	}
	report, err := a.Verify(r.Context(), environment, app)
	return http.StatusOK, report, err
}
