package simulation

// plantedRolloutBugs are in what follows updates into the cluster.
var plantedRolloutBugs = []planted{
	{
		"a comparison with a commit of before counts",
		"gitops/rollout/judge.go",
		"	if has != Contained {\n",
		"	if has != Contained && has != Before {\n",
		", and its tag runs",
	},
	{
		"degraded for a moment is a verdict",
		"gitops/rollout/judge.go",
		"	degradedFor = 20 * time.Second\n",
		"	degradedFor = 0 * time.Second\n",
		", and its tag runs",
	},
	{
		"what is open is forgotten with the process",
		"server/follow/feed.go",
		"	for _, u := range open {\n",
		"	for _, u := range open[:0] {\n",
		"has not ended",
	},
	{
		"the feed is followed past what could not be taken in",
		"server/follow/feed.go",
		"				if err := l.changed(ctx, u, c.Rollout); err != nil {\n",
		"				if err := l.changed(ctx, u, c.Rollout); gitops.CodeOf(err) == gitops.Conflict {\n",
		"has not ended",
	},
	{
		"an older update ends a newer one's rollout",
		"server/follow/followed.go",
		"sequence > f.update.Sequence",
		"sequence != f.update.Sequence",
		"was written last of",
	},
}
