package simulation

// plantedImageBugs are in what looks at images before they are written.
var plantedImageBugs = []planted{
	{
		"an image that is not there is written",
		"gitops/image/verdict.go",
		"	case Absent:\n		return i.absent()\n",
		"",
		"was not there when it was looked for",
	},
	{
		"a moved tag is written",
		"gitops/image/verdict.go",
		"moved && !r.AllowMoved {",
		"moved && r.AllowMoved {",
		"was pushed, and its tag",
	},
	{
		"another image is written than was ordered by its digest",
		"gitops/image/verdict.go",
		"	if u.Digest != \"\" && u.Digest != a.Digest {\n",
		"	if u.Digest != \"\" && a.Digest == \"\" {\n",
		"was not there when it was looked for",
	},
	{
		"an update fails by the first 404",
		"gitops/image/verdict.go",
		"return i.answer.Thorough && !i.answer.At.Before(i.until())",
		"return !i.answer.At.Before(i.since)",
		"and no registry said so",
	},
	{
		"a registry that is away has no images",
		"gitops/inspect/look.go",
		"		r.failed(l, errorOf(err), now)\n",
		"		r.settle(l, image.Answer{At: a.At, Thorough: a.Thorough, Presence: image.Absent}, nil, now)\n",
		"and no registry said so",
	},
	{
		"an event of a moved tag is accepted",
		"server/webhook/moved.go",
		"u.Digest == \"\" || !in.Moved.Refuses(u.Environment)",
		"u.Digest == \"\" || in.Moved.Refuses(u.Environment)",
		"was accepted from an event, and its tag",
	},
	{
		"no lane hears that an image has come",
		"gitops/inspect/waiter.go",
		"	w.environment.freed[w.update.ID] = true\n",
		"",
		"after its image could be found",
	},
	{
		"what a dead replica's lane waited for waits for ever",
		"gitops/lane/inspect.go",
		"if err := t.Queue.Rejudge(ctx, gitops.BlockImage, []string{t.environment}); err != nil {",
		"if err := ctx.Err(); err != nil {",
		"was accepted and has not ended",
	},
	{
		"what an event tells of an image is not kept",
		"gitops/queue/queuetest/modelinbox.go",
		"		m.see(image)\n",
		"		_ = image\n",
		"the store says of",
	},
	{
		"what was found is not kept",
		"gitops/queue/queuetest/modelimages.go",
		"	m.see(gitops.SeenImage{Repository: u.Repository, Tag: u.Tag, Digest: found.Digest, By: u.Delivery, Named: found.Named})\n",
		"",
		"the store says of",
	},
	{
		"the last digest of a tag counts, and not the first",
		"gitops/queue/queuetest/modelimages.go",
		"	case len(known) == 0 || known[0].Digest == \"\" && image.Digest != \"\":\n",
		"	case len(known) == 0 || image.Digest != \"\":\n",
		"the store says of",
	},
}
