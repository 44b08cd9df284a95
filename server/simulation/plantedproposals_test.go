package simulation

// plantedProposalBugs are in what opens pull requests and follows them.
var plantedProposalBugs = []planted{
	{
		"a person's commit on an open pull request is pushed over",
		"gitops/proposals/step.go",
		"	case !s.topic.Ours:\n		return s.personal(w)\n",
		"",
		"which a person has put there",
	},
	{
		"a person's commit on a branch without a pull request is pushed over",
		"gitops/proposals/step.go",
		"	case !free && s.landed == nil:\n",
		"	case !free && len(w.Held) > 0:\n",
		"which a person has put there",
	},
	{
		"a merge is taken for a close",
		"gitops/proposals/ended.go",
		"		case merged:\n			return s.land(w, w.Update)\n",
		"",
		"and no person has closed its pull request",
	},
	{
		"what is held is armed",
		"gitops/proposals/step.go",
		"case w.env.Merge == MergeAuto && len(w.Held) == 0 && !s.pull.Armed",
		"case w.env.Merge == MergeAuto && !s.pull.Armed",
		"and was told that update",
	},
	{
		"a branch is deleted in the place of closing its pull request",
		"gitops/proposals/step.go",
		"	return step{do: closePull, because: because}\n",
		"	return step{do: remove, because: because}\n",
		" deletes tallyman/",
	},
	{
		"what a person closed is proposed again for the next event",
		"gitops/lane/batch.go",
		"	case u.ClosedBefore != nil:\n",
		"	case u.ClosedBefore != nil && why != \"\":\n",
		"and a person has closed that of update",
	},
	{
		"what the forge says of a merge is proof enough",
		"gitops/proposals/ended.go",
		"	case s.landed.commit && (there || s.isHead(u)):\n",
		"	case s.landed.commit:\n",
		"which does not have its tag",
	},
	{
		"the next holder of a lane tells of the newest update alone",
		"gitops/lane/wishes.go",
		"		before = append(before, t.untold(app, known)...)\n",
		"",
		"was merged, and it is superseded",
	},
	{
		"a merge is waited for by the forge's clock",
		"gitops/proposals/ended.go",
		"s.now.Sub(s.over) < lagMost",
		"s.now.Sub(s.pull.EndedAt) < lagMost",
		"was merged, and it is superseded",
	},
	{
		"a pull request that was opened without an answer is not looked for",
		"gitops/proposals/write.go",
		"			s.found = false\n			return err\n",
		"			return err\n",
		"everything has healed, and update",
	},
	{
		"what is to be proposed is written",
		"gitops/lane/batch.go",
		"		case c.ends == nil && does.PullRequest:\n",
		"		case c.ends == nil && does.PullRequest && !write:\n",
		"and its environment is written by pull request",
	},
	{
		"no pull request is looked at without a hint",
		"gitops/proposals/room.go",
		"	return now.Add(sweepEvery + ",
		"	return now.Add(1000*sweepEvery + ",
		"was accepted and has not ended",
	},
}
