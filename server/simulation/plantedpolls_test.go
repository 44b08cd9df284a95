package simulation

// plantedPollBugs are in what polls registries.
var plantedPollBugs = []planted{
	{
		"the first poll orders what was there",
		"server/poll/scan.go",
		"	s.first = last.IsZero()\n",
		"	s.first = last.IsZero() && t.every < 0\n",
		"the first poll of",
	},
	{
		"what was seen is ordered",
		"server/poll/scan.go",
		"		digests[known.Tag] = append(digests[known.Tag], known.Digest)\n",
		"		_ = known\n",
		"which was seen before",
	},
	{
		"a poll goes by what is on the branch",
		"server/poll/choice.go",
		"gitops.VersionKey(image.Tag) > head.AcceptedVersion &&",
		"gitops.VersionKey(image.Tag) > gitops.VersionKey(head.WrittenTag) &&",
		"which is not above",
	},
	{
		"whatever was never seen is ordered",
		"server/poll/choice.go",
		"return gitops.VersionKey(image.Tag) > head.AcceptedVersion && !isBeforeWord(image, head, now)",
		"return !isBeforeWord(image, head, now)",
		"of a poll brings",
	},
	{
		"the lowest of what is new is ordered",
		"server/poll/choice.go",
		"return gitops.VersionKey(image.Tag) > gitops.VersionKey(than.Tag)",
		"return gitops.VersionKey(image.Tag) < gitops.VersionKey(than.Tag)",
		"and it was never ordered",
	},
	{
		"what is found is recorded before it is ordered",
		"server/poll/scan.go",
		"		key, err := s.accept(ctx, f)\n		if err == nil {\n",
		"		err := s.record(ctx, []Image{f.Image}, gitops.DeliveryKey{})\n		var key gitops.DeliveryKey\n		if err == nil {\n			key, err = s.accept(ctx, f)\n		}\n		if err == nil {\n",
		"and it was never ordered",
	},
	{
		"a list that fails counts as complete",
		"server/poll/scan.go",
		"	if err != nil {\n		return err\n	}\n	if err := s.order(ctx)",
		"	if err := s.order(ctx)",
		"and its list did not end",
	},
	{
		"an environment polls that does not say so",
		"server/poll/target.go",
		"	for name := range s.Environments {\n		environments = append(environments, name)\n",
		"	for name := range s.Environments {\n		environments = append(environments, name, \"dev\")\n",
		"polls nothing",
	},
	{
		"a replica polls without the lease",
		"server/lease/lease.go",
		"	if err != nil || len(claimed) == 0 {\n",
		"	if err == nil && len(claimed) == 0 {\n		return &Lease{store: store, now: now, length: length, ends: asked.Add(24 * length)}, nil\n	}\n	if err != nil {\n",
		"and has no lease for that",
	},
}
