package access

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// condition is one thing that must hold for a rule to allow a request. The decision
// and its explanation are side by side, so that they cannot differ.
type condition struct {
	holds func(request) bool
	why   func(request) string // what does not hold
}

// hold reports whether all of the conditions hold.
func hold(conditions []condition, asked request) bool {
	for _, c := range conditions {
		if !c.holds(asked) {
			return false
		}
	}
	return true
}

func (r *rule) allows(asked request) bool {
	return r.right.holds(asked) && hold(r.where, asked) && hold(r.who, asked)
}

// unmet says of each condition that does not hold why.
func (r *rule) unmet(asked request) (reasons []string) {
	for _, conditions := range [][]condition{{r.right}, r.where, r.who} {
		for _, c := range conditions {
			if !c.holds(asked) {
				reasons = append(reasons, c.why(asked))
			}
		}
	}
	return reasons
}

func (r *rule) rightCondition() condition {
	return condition{
		func(q request) bool { return slices.Contains(r.May, q.right) },
		func(q request) string { return amongText("right", string(q.right), r.May) },
	}
}

func (r *rule) whereConditions() []condition {
	return []condition{
		{
			func(q request) bool { return q.anywhere || r.environments == nil || r.environments[q.environment] },
			func(q request) string { return areaText("environment", q.environment, r.Environments) },
		},
		{
			func(q request) bool { return q.anywhere || r.apps == nil || r.apps[q.app] },
			func(q request) string { return areaText("app", q.app, r.Apps) },
		},
	}
}

// whoConditions are those on who asks. The key has found the rule by source, number
// or name; these are the others.
func (r *rule) whoConditions() []condition {
	switch w := r.Who; {
	case w.Push != nil:
		return pushConditions(*w.Push)
	case w.Dispatch != nil:
		return dispatchConditions(*w.Dispatch)
	case w.Job != nil:
		return jobConditions(*w.Job)
	case w.Poll != nil:
		return pollConditions(*w.Poll)
	}
	return nil
}

// among is the condition that a value is one of a list; an empty list allows any.
func among[T ~string](what string, got func(request) T, allowed []T) []condition {
	if len(allowed) == 0 {
		return nil
	}
	return []condition{{
		func(q request) bool { return slices.Contains(allowed, got(q)) },
		func(q request) string { return amongText(what, string(got(q)), allowed) },
	}}
}

func pushConditions(w Push) []condition {
	return slices.Concat(
		among("account", func(q request) string { return q.principal.Push.Account }, w.Accounts),
		among("region", func(q request) string { return q.principal.Push.Region }, w.Regions),
		among("topic", func(q request) string { return q.principal.Push.Topic }, w.Topics),
	)
}

func dispatchConditions(w Dispatch) (conditions []condition) {
	if w.InstallationID != 0 {
		conditions = append(conditions, condition{
			func(q request) bool { return q.principal.Dispatch.InstallationID == w.InstallationID },
			func(q request) string {
				return fmt.Sprintf("installation %d is not %d", q.principal.Dispatch.InstallationID, w.InstallationID)
			},
		})
	}
	if len(w.Senders) > 0 {
		conditions = append(conditions, condition{
			func(q request) bool {
				return slices.ContainsFunc(w.Senders, func(login string) bool { return strings.EqualFold(login, q.principal.Dispatch.Sender) }) // as GitHub has it
			},
			func(q request) string { return amongText("sender", q.principal.Dispatch.Sender, w.Senders) },
		})
	}
	if len(w.SenderIDs) > 0 {
		conditions = append(conditions, condition{
			func(q request) bool { return slices.Contains(w.SenderIDs, q.principal.Dispatch.SenderID) },
			func(q request) string {
				return amongText("sender id", strconv.FormatInt(q.principal.Dispatch.SenderID, 10), decimals(w.SenderIDs))
			},
		})
	}
	return conditions
}

// some is a list of one text, or of none where it is empty.
func some(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}

func decimals(numbers []int64) []string {
	texts := make([]string, len(numbers))
	for i, n := range numbers {
		texts[i] = strconv.FormatInt(n, 10)
	}
	return texts
}

func jobConditions(w Job) []condition {
	conditions := []condition{{
		func(q request) bool {
			return slices.ContainsFunc(w.Refs, func(pattern string) bool { ok, _ := path.Match(pattern, q.principal.Job.Ref); return ok })
		},
		func(q request) string { return amongText("ref", q.principal.Job.Ref, w.Refs) },
	}}
	if w.RefProtected {
		conditions = append(conditions, condition{
			func(q request) bool { return q.principal.Job.RefProtected },
			func(q request) string {
				return fmt.Sprintf("ref %s is not protected: give it a branch protection or a ruleset", quote(q.principal.Job.Ref))
			},
		})
	}
	if w.GitHubEnvironment != "" {
		conditions = append(conditions, condition{
			func(q request) bool { return q.principal.Job.Environment == w.GitHubEnvironment },
			func(q request) string {
				return fmt.Sprintf("the job must run in the GitHub environment %q, not in %s", w.GitHubEnvironment, quote(q.principal.Job.Environment))
			},
		})
	}
	return slices.Concat(conditions,
		among("event", func(q request) string { return q.principal.Job.Event }, w.Events),
		among("runner environment", func(q request) string { return q.principal.Job.RunnerEnvironment }, some(w.RunnerEnvironment)),
		among("actor id", func(q request) string { return q.principal.Job.ActorID }, w.ActorIDs),
		workflowConditions(w),
	)
}

func workflowConditions(w Job) (conditions []condition) {
	if len(w.Workflows) > 0 {
		conditions = append(conditions, condition{
			func(q request) bool {
				path, ok := startedWorkflow(*q.principal.Job)
				return ok && slices.Contains(w.Workflows, path)
			},
			func(q request) string {
				return fmt.Sprintf("workflow %s on ref %s is not among %s", quote(q.principal.Job.Workflow), quote(q.principal.Job.Ref), list(w.Workflows))
			},
		})
	}
	if len(w.JobWorkflows) > 0 {
		conditions = append(conditions, condition{
			func(q request) bool {
				return slices.ContainsFunc(w.JobWorkflows, func(file JobWorkflow) bool { return file.is(*q.principal.Job) })
			},
			func(q request) string {
				var files []string
				for _, file := range w.JobWorkflows {
					files = append(files, file.String())
				}
				got := JobWorkflow{q.principal.Job.JobWorkflow, q.principal.Job.JobWorkflowSHA}
				return amongText("the job's file", got.String(), files)
			},
		})
	}
	return conditions
}

// startedWorkflow is the path in the job's own repository of the workflow that was
// started. workflow_ref is owner/name/path@ref: what comes after the path must be
// the very ref that the job runs on, since a file's name and a branch's may have an
// @ themselves. An organization can require workflows of another repository, whose
// files of the same name are not meant.
func startedWorkflow(job gitops.Job) (path string, ok bool) {
	file, ok := strings.CutSuffix(job.Workflow, "@"+job.Ref)
	parts := strings.SplitN(file, "/", 3)
	if !ok || len(parts) != 3 || !strings.EqualFold(parts[0]+"/"+parts[1], job.Repository) {
		return "", false
	}
	return parts[2], true
}

// is reports whether the job is in the file.
func (f JobWorkflow) is(job gitops.Job) bool {
	return job.JobWorkflow == f.Ref && (f.SHA == "" || job.JobWorkflowSHA == f.SHA)
}

// String is the file, and the commit where one is named.
func (f JobWorkflow) String() string {
	if f.SHA == "" {
		return f.Ref
	}
	return f.Ref + " at " + f.SHA
}
