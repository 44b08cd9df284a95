package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/go-github/v62/github"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
)

// Arm has GitHub merge a pull request as soon as its rules allow it. It does not bypass
// them, even where the App is allowed to: what is not ready is armed, and merged directly or
// enqueued only when GitHub itself says that nothing is pending.
func (f *Forge) Arm(ctx context.Context, p proposals.Pull, t proposals.Text) error {
	d, err := f.demanded(ctx)
	if err != nil {
		return err
	}
	s, err := f.standing(ctx, p.ID)
	if err != nil {
		return err
	}
	want := armed{Method: strings.ToUpper(d.method())}
	if want.Method == "SQUASH" { // the other methods keep the branch's own commit, or its message
		want.Headline, want.Body = t.Title, t.Body
	}
	switch {
	case s.State != "OPEN":
		return fmt.Errorf("%w: it is %s", proposals.ErrNotNow, strings.ToLower(s.State))
	case s.Head != p.Head.String():
		return proposals.ErrHeadMoved
	case s.Queued || s.AutoMerge != nil && *s.AutoMerge == want:
		return nil
	case s.AutoMerge != nil: // with the text of another commit, or by a person who cannot know it
		if err := f.disable(ctx, p.ID); err != nil {
			return notNow(err)
		}
	}
	err = f.enable(ctx, p, want)
	switch {
	case err == nil:
		return nil
	case !refusedFor(err, nothingPending) && !refusedFor(err, settingOff):
		return notNow(err)
	case s.QueueEnabled:
		return f.enqueue(ctx, p)
	}
	return f.mergeReady(ctx, p, want, refusedFor(err, settingOff))
}

// What GitHub refuses auto-merge with: that it could merge right now, or that the
// repository does not allow it.
var (
	nothingPending = []string{"in clean status", "in unstable status", "in has_hooks status", "protected branch rules not configured"}
	settingOff     = []string{"auto merge is not allowed", "auto-merge is not allowed"}
)

func refusedFor(err error, reasons []string) bool {
	var r *refusal
	if !errors.As(err, &r) {
		return false
	}
	said := strings.ToLower(r.said)
	for _, reason := range reasons {
		if strings.Contains(said, reason) {
			return true
		}
	}
	return false
}

// notNow is a refusal in the words of the contract. Other errors stay.
func notNow(err error) error {
	var r *refusal
	switch {
	case !errors.As(err, &r) || gitops.CodeOf(err) != gitops.Internal: // a [*gitops.Error] may have one as its cause
		return err
	case refusedFor(err, []string{"head branch was modified", "head sha", "expected head", "expectedheadoid"}):
		return fmt.Errorf("%w: %w", proposals.ErrHeadMoved, err)
	}
	return fmt.Errorf("%w: %w", proposals.ErrNotNow, err)
}

func (f *Forge) enable(ctx context.Context, p proposals.Pull, want armed) error {
	input := map[string]any{"pullRequestId": p.ID, "mergeMethod": want.Method, "expectedHeadOid": p.Head.String()}
	if want.Headline != "" {
		input["commitHeadline"], input["commitBody"] = want.Headline, want.Body
	}
	return f.mutate(ctx, "arming the pull request", "enablePullRequestAutoMerge", input)
}

func (f *Forge) disable(ctx context.Context, id string) error {
	return f.mutate(ctx, "disarming the pull request", "disablePullRequestAutoMerge", map[string]any{"pullRequestId": id})
}

func (f *Forge) enqueue(ctx context.Context, p proposals.Pull) error {
	return notNow(f.mutate(ctx, "enqueuing the pull request", "enqueuePullRequest", map[string]any{"pullRequestId": p.ID, "expectedHeadOid": p.Head.String()}))
}

// mutate makes one mutation. Each takes one input, of a type that is called after it.
func (f *Forge) mutate(ctx context.Context, doing, name string, input map[string]any) error {
	typed := strings.ToUpper(name[:1]) + name[1:] + "Input!"
	query := "mutation($input: " + typed + ") {\n  " + name + "(input: $input) { clientMutationId }\n}"
	return f.graphQL(ctx, doing, query, map[string]any{"input": input}, nil)
}

// mergeReady merges a pull request that GitHub calls ready, at its head alone. The App may be
// on a list of who may bypass rules: then GitHub would merge what is not ready, too.
func (f *Forge) mergeReady(ctx context.Context, p proposals.Pull, want armed, offInSettings bool) error {
	const doing = "merging the pull request"
	found, _, err := f.client.PullRequests.Get(ctx, f.owner, f.name, p.Number)
	if err != nil {
		return failure(doing, err)
	}
	switch state := found.GetMergeableState(); {
	case found.GetHead().GetSHA() != p.Head.String():
		return proposals.ErrHeadMoved
	case state == "clean" || state == "unstable" || state == "has_hooks":
	case state == "blocked" && offInSettings:
		return gitops.Errorf(gitops.Rejected, "GitHub cannot merge the pull request by itself: allow auto-merge in the repository's settings, or merge it by hand")
	default:
		return fmt.Errorf("%w: its state is %q", proposals.ErrNotNow, gitops.Clip(state, 40))
	}
	_, response, err := f.client.PullRequests.Merge(ctx, f.owner, f.name, p.Number, want.Body, &github.PullRequestOptions{
		SHA: p.Head.String(), MergeMethod: strings.ToLower(want.Method), CommitTitle: want.Headline,
	})
	switch {
	case err == nil:
		return nil
	case statusOf(response) == http.StatusConflict:
		return fmt.Errorf("%w: %w", proposals.ErrHeadMoved, err)
	case statusOf(response) == http.StatusMethodNotAllowed:
		return fmt.Errorf("%w: GitHub says: %s", proposals.ErrNotNow, gitops.Clip(said(err), 300))
	}
	return failure(doing, err)
}

// Disarm takes a pull request out of the queue, and auto-merge from it. It undoes what it
// finds: what the caller knows of it may be old.
func (f *Forge) Disarm(ctx context.Context, p proposals.Pull) error {
	s, err := f.standing(ctx, p.ID)
	if err != nil {
		return err
	}
	if s.State != "OPEN" {
		return nil
	}
	if s.Queued {
		if err := f.mutate(ctx, "taking the pull request out of the merge queue", "dequeuePullRequest", map[string]any{"id": p.ID}); err != nil {
			return notNow(err)
		}
	}
	if s.AutoMerge != nil {
		return notNow(f.disable(ctx, p.ID))
	}
	return nil
}
