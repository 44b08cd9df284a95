package access

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// refusal says why no rule allows a request, by the nearest rule: one that is for
// what is asked comes before one that is for something else, and of those that lack the
// same the one that names more.
func (l *List) refusal(asked request) error {
	var nearest *rule
	farthest := 0
	for _, r := range l.byWho[keyOf(asked.principal)] {
		far := r.farFrom(asked)
		if nearest == nil || far < farthest || far == farthest && r.named() > nearest.named() {
			nearest, farthest = r, far
		}
	}
	why := ""
	if nearest == nil {
		why = "no rule of access is for " + l.missing(asked.principal) + ": add one to the configuration"
	} else {
		why = fmt.Sprintf("the nearest rule, %s, does not hold: %s (change that rule, or add one to access in the configuration)",
			nearest.name, strings.Join(nearest.unmet(asked), ", and "))
	}
	what := orEvery("app", clip(asked.app)) + " in " + orEvery("environment", clip(asked.environment))
	if asked.anywhere {
		what = "anything"
	}
	return gitops.Errorf(gitops.Forbidden, "%s may not %s %s: %s", Describe(asked.principal), asked.right, what, why)
}

// named is of how many things the rule names which it is for.
func (r *rule) named() (n int) {
	for _, names := range []map[string]bool{r.apps, r.environments} {
		if names != nil {
			n++
		}
	}
	return n
}

// farFrom is how much of a rule does not hold. Any condition on what is asked for
// outweighs all of those on who asks.
func (r *rule) farFrom(asked request) int {
	const outweighs = 100
	far := 0
	for _, c := range r.who {
		if !c.holds(asked) {
			far++
		}
	}
	for _, c := range append(slices.Clone(r.where), r.right) {
		if !c.holds(asked) {
			far += outweighs
		}
	}
	return far
}

// missing names whom no rule is for. A repository that gave up its name, and
// whoever has the name now, differ by their numbers only, so these are said.
func (l *List) missing(p gitops.Principal) string {
	repository := ""
	said := ""
	switch p.Kind() {
	case gitops.KindPush:
		return "pushes from " + clip(p.Push.Source)
	case gitops.KindDispatch:
		repository = p.Dispatch.Repository
		said = fmt.Sprintf("dispatches of the repository %s (id %d)", clip(repository), p.Dispatch.RepositoryID)
	case gitops.KindJob:
		repository = p.Job.Repository
		said = fmt.Sprintf("jobs of the repository %s (repository_id %s, repository_owner_id %s)", clip(repository), clip(p.Job.RepositoryID), clip(p.Job.OwnerID))
	case gitops.KindToken:
		return "token " + clip(p.Token)
	case gitops.KindPoll:
		return "what is found in registries"
	case gitops.KindRevert:
		return "what tallyman reverts"
	default:
		return "nobody"
	}
	for _, r := range l.rules {
		if r.key().kind == p.Kind() && strings.EqualFold(r.repository(), repository) {
			return said + " (" + r.name + " is for a repository of that name with another id)"
		}
	}
	return said
}

// repository is the name of the repository that the rule is for; "" for a rule that
// is for none.
func (r *rule) repository() string {
	switch {
	case r.Who.Dispatch != nil:
		return r.Who.Dispatch.Repository
	case r.Who.Job != nil:
		return r.Who.Job.Repository
	}
	return ""
}

// Describe names a principal in a sentence, for people.
func Describe(p gitops.Principal) string {
	switch p.Kind() {
	case gitops.KindPush:
		return fmt.Sprintf("push from %s (account %s, region %s)", clip(p.Push.Source), clip(p.Push.Account), clip(p.Push.Region))
	case gitops.KindDispatch:
		return fmt.Sprintf("dispatch of %s (id %d) by %s (id %d)", clip(p.Dispatch.Repository), p.Dispatch.RepositoryID, clip(p.Dispatch.Sender), p.Dispatch.SenderID)
	case gitops.KindJob:
		return fmt.Sprintf("job of %s on %s", clip(p.Job.Repository), clip(p.Job.Ref))
	case gitops.KindToken:
		return "token " + clip(p.Token)
	case gitops.KindPoll:
		return "poll of the registry " + clip(p.Poll)
	case gitops.KindRevert:
		return "tallyman itself, for a revert,"
	}
	return "nobody"
}

// amongText says that a value is not one of a list.
func amongText[T ~string](what, got string, allowed []T) string {
	return what + " " + quote(got) + " is not among " + list(allowed)
}

// areaText is amongText for an app or an environment. All of them are more than a list
// has, whatever it names.
func areaText(what, got string, allowed []string) string {
	if got == "" {
		return "it is for " + list(allowed) + " and not for every " + what
	}
	return amongText(what, got, allowed)
}

// list names what a rule allows; of many names the first.
func list[T ~string](names []T) string {
	const most = 8
	texts := make([]string, 0, most+1)
	for i, name := range names {
		if i == most {
			texts = append(texts, fmt.Sprintf("%d more", len(names)-most))
			break
		}
		texts = append(texts, string(name))
	}
	return strings.Join(texts, ", ")
}

// orEvery is a name, and for the empty one all of them.
func orEvery(what, name string) string {
	if name == "" {
		return "every " + what
	}
	return name
}

func quote(text string) string { return `"` + clip(text) + `"` }

// clip bounds text of a payload or a token inside a sentence.
func clip(text string) string { return gitops.Clip(text, 120) }
