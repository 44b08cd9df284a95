package main

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

func newHistory() *cobra.Command {
	var from remote
	var environment string
	var count, commits int
	cmd := &cobra.Command{
		Use:   "history APP --env ENV",
		Short: "Show past tags of an app, with commit and requester",
		Long: `Show the tags that an app had in an environment, newest first, read from the commits
of the manifest repository: those of tallyman and those of people. A commit that names
an update and has no proof that tallyman made it is shown with its author and its claim,
unless tallyman knows it as the merge of the update's pull request.
What a person ordered shows the reason, and of a rollback the tag that it left; what
tallyman itself reverted shows the update that did not run, and why.`,
		Example: "  tallyman history myshop-api --env prod\n  tallyman history myshop-api --env prod -n 100 --commits 50000",
		Args:    exactly("APP"),
		RunE: from.run(func(a apiRun, args []string) error {
			if environment == "" {
				return badInput{errors.New("--env is required")}
			}
			filter := filterOf("environment", environment, "app", args[0])
			for name, n := range map[string]int{"limit": count, "commits": commits} {
				if n != 0 {
					filter.Set(name, strconv.Itoa(n))
				}
			}
			h, err := a.server.History(a.Context(), filter)
			if gitops.CodeOf(err) == gitops.NotFound {
				err = cmp.Or(a.checkNames(environment, args[0]), err)
			}
			if err != nil {
				return err
			}
			return a.print.print(h, func() { a.print.history(h) })
		}),
		ValidArgsFunction: from.completeApp,
	}
	from.flags(cmd)
	cmd.Flags().StringVar(&environment, "env", "", "`name` of the environment (required)")
	cmd.Flags().IntVarP(&count, "count", "n", 20, "maximum number of tags")
	cmd.Flags().IntVar(&commits, "commits", 0, "maximum number of commits to search (default: 2000)")
	from.completeNames(cmd)
	return cmd
}

func (p *printer) history(h api.History) {
	header := []string{"SINCE (UTC)", "TAG", "COMMIT", "REQUESTED BY", "SUBJECT"}
	reasons := slices.ContainsFunc(h.Versions, func(v api.Version) bool { return reasonOf(v) != "" })
	if reasons {
		header = append(header, "REASON")
	}
	var rows [][]cell
	for _, v := range h.Versions {
		tag := cell{v.Tag, ""}
		switch {
		case v.Missing:
			tag = cell{"(no file)", "dim"}
		case v.Problem != "":
			tag = cell{"? " + v.Problem, "bad"}
		case v.Tag == "":
			tag = cell{"(empty)", "dim"}
		}
		if v.Commit == "" {
			rows = append(rows, []cell{{"before", "dim"}, tag, {"-", ""}, {"-", ""}, {"-", ""}, {"", ""}}[:len(header)])
			continue
		}
		rows = append(rows, []cell{{timestamp(v.At), ""}, tag, {short(v.Commit), ""}, {requestedBy(v), ""}, {v.Subject, ""}, {reasonOf(v), ""}}[:len(header)])
	}
	p.table(header, rows)
	if !h.Complete {
		p.line("", "There may be more: %s searched, back to %s. See -n and --commits", plural(h.Commits, "commit"), timestamp(h.Since))
	}
}

// reasonOf is what people said of a version when they ordered it, of a proved commit
// alone: why, what it was rolled back from, and why it passed what held it.
func reasonOf(v api.Version) string {
	var texts []string
	for _, u := range v.Updates {
		switch {
		case u.Reverts != "":
			texts = append(texts, "takes back update "+u.Reverts)
		case u.RollsBack != "":
			texts = append(texts, "rolled back from "+u.RollsBack)
		}
		if u.Reason != "" {
			texts = append(texts, u.Reason)
		}
		if u.Override != "" {
			texts = append(texts, "override: "+u.Override)
		}
	}
	return strings.Join(texts, "; ")
}

// requestedBy is who requested a version: the actors of a proved commit, else its
// author, with a word on what the commit claims.
func requestedBy(v api.Version) string {
	if len(v.Claims) > 0 {
		return v.Author + " (claims update " + v.Claims[0].Update + ")"
	}
	var actors []string
	for _, o := range v.Updates {
		if o.Actor != "" && !slices.Contains(actors, o.Actor) {
			actors = append(actors, o.Actor)
		}
	}
	if len(actors) == 0 {
		return v.Author
	}
	return strings.Join(actors, ", ")
}
