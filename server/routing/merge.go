package routing

import "github.com/tallyman-dev/tallyman/gitops"

// answer is what repositories say of one update. One that is not on the branch may be
// refused, held or edited by hand.
type answer struct {
	transition *gitops.Transition
	refusal    *gitops.Refusal
	held       *gitops.Held
	edit       *gitops.HandEdit
	unknown    bool // one did not answer
}

// merge puts the results of all shares together, in the order of the tasks. Of what several
// repositories were asked for, the one counts that has it; that one has it not says nothing
// as long as another did not answer.
func merge(tasks []gitops.WriteTask, shares []*share) (result gitops.WriteResult) {
	answers := make(map[string]*answer, len(tasks))
	for _, task := range tasks {
		answers[task.Update.ID] = new(answer)
	}
	for _, s := range shares {
		said := s.addTo(answers)
		for _, task := range s.tasks {
			id := task.Update.ID
			answers[id].unknown = answers[id].unknown || s.err != nil && !said[id]
		}
	}
	for _, task := range tasks {
		answers[task.Update.ID].addTo(task.Update.ID, &result)
	}
	return result
}

// addTo adds what the share's repository says, and returns of which updates, by id, it says
// something.
func (s *share) addTo(answers map[string]*answer) (said map[string]bool) {
	said = make(map[string]bool)
	for _, t := range s.result.Transitions {
		said[t.Update] = true
		if before := answers[t.Update].transition; before == nil || before.Action != gitops.ActionCommit {
			answers[t.Update].transition = &t
		}
	}
	for _, r := range s.result.Refused {
		said[r.Update], answers[r.Update].refusal = true, &r
	}
	for _, h := range s.result.Held {
		said[h.Update], answers[h.Update].held = true, &h
	}
	for _, e := range s.result.HandEdits {
		said[e.Update], answers[e.Update].edit = true, &e
	}
	return said
}

func (a *answer) addTo(id string, result *gitops.WriteResult) {
	switch {
	case a.transition != nil && a.transition.Action == gitops.ActionCommit:
		result.Transitions = append(result.Transitions, *a.transition)
	case a.unknown:
		result.Unknown = append(result.Unknown, id)
	case a.transition != nil:
		result.Transitions = append(result.Transitions, *a.transition)
	case a.refusal != nil:
		result.Refused = append(result.Refused, *a.refusal)
	case a.held != nil:
		result.Held = append(result.Held, *a.held)
	case a.edit != nil:
		result.HandEdits = append(result.HandEdits, *a.edit)
	}
}
