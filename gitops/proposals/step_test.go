package proposals

import (
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

// situation is what is seen and wished, from which each case of the table differs.
type situation struct {
	seen seen
	wish wish
}

// opened is an update whose pull request is open and as wished, and which the lane knows.
func opened() situation {
	u := someUpdate()
	s := seenOf(u)
	s.now, s.found, s.fresh, s.current = time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC), true, true, true
	w := wish{ProposalWish: gitops.ProposalWish{Update: u}, env: Environment{Merge: MergePerson}, reported: true}
	s.pull = &Pull{Number: 1, URL: "https://forge.example/pull/1", Head: s.head, State: PullOpen, Text: s.textOf(w), OpenedAt: s.now.Add(-time.Hour)}
	p := s.proposal(u)
	w.Update.Proposal = &p
	return situation{s, w}
}

func TestNext(t *testing.T) {
	t.Parallel()
	other := git.Hash{9}
	for name, tt := range map[string]struct {
		change func(c *situation)
		want   action
	}{
		"all is as wished":                 {func(*situation) {}, rest},
		"nothing was looked for":           {func(c *situation) { c.seen.found = false }, askFind},
		"it may have changed":              {func(c *situation) { c.seen.unsure = true }, askGet},
		"the forge does not know the head": {func(c *situation) { c.seen.pull.Head, c.seen.fresh = other, false }, askGet},
		"no topic":                         {func(c *situation) { c.seen.pull, c.seen.head, c.seen.topic = nil, zero, Topic{} }, askBuild},
		"no topic, built": {func(c *situation) {
			c.seen.pull, c.seen.head, c.seen.topic, c.seen.built = nil, zero, Topic{}, &Built{Commit: other}
		}, push},
		"a topic without a pull request": {func(c *situation) { c.seen.pull = nil }, create},
		"a topic without one, the first of several files has the tag": {func(c *situation) {
			c.seen.base.Tag, c.seen.origin, c.seen.pull, c.seen.built = c.wish.Update.Tag, &Origin{}, nil, &Built{Commit: other}
		}, create},
		"a topic without one, in conflict":       {func(c *situation) { c.seen.pull, c.seen.topic.Conflict = nil, true }, askBuild},
		"other files moved":                      {func(c *situation) { c.seen.topic.Behind = true }, askRules},
		"other files moved, not strict":          {func(c *situation) { c.seen.topic.Behind, c.seen.rules = true, &Rules{} }, rest},
		"other files moved, strict":              {func(c *situation) { c.seen.topic.Behind, c.seen.rules = true, &Rules{Strict: true} }, askBuild},
		"conflict":                               {func(c *situation) { c.seen.topic.Conflict = true }, askBuild},
		"conflict, not certain to be open":       {func(c *situation) { c.seen.topic.Conflict, c.seen.current = true, false }, askGet},
		"conflict, queued":                       {func(c *situation) { c.seen.topic.Conflict, c.seen.pull.Queued = true, true }, report},
		"conflict, built":                        {func(c *situation) { c.seen.topic.Conflict, c.seen.built = true, &Built{Commit: other} }, push},
		"conflict, a hand edit":                  {func(c *situation) { c.seen.topic.Conflict, c.seen.built = true, &Built{HandEdit: &gitops.HandEdit{}} }, closePull},
		"base has the tag":                       {func(c *situation) { c.seen.base.Tag = c.wish.Update.Tag }, askOrigin},
		"base has the commit":                    {func(c *situation) { onBase(c); c.seen.pull.State = PullMerged }, report},
		"base has the commit, the forge away":    {func(c *situation) { onBase(c); c.seen.found, c.seen.pull, c.seen.away = false, nil, true }, report},
		"base has the commit, not asked by whom": {func(c *situation) { onBase(c); c.seen.current = false }, askGet},
		"base has the commit, open all the same": {onBase, closePull},
		"base has the commit, an older one is open": {func(c *situation) {
			newer(c)
			onBase(c)
		}, closePull},
		"the text differs":                       {func(c *situation) { c.seen.pull.Text.Body = "mine" }, edit},
		"a person changed the text since":        {func(c *situation) { c.wish.sent = c.seen.pull.Text; c.seen.pull.Text.Body = "mine" }, rest},
		"a label is missing":                     {func(c *situation) { c.wish.env.Labels = []string{"deploy"} }, edit},
		"the lane does not know":                 {func(c *situation) { c.wish.reported = false }, report},
		"to be armed":                            {func(c *situation) { c.wish.env.Merge = MergeAuto }, arm},
		"armed":                                  {func(c *situation) { c.wish.env.Merge, c.seen.pull.Armed = MergeAuto, true }, rest},
		"armed at another head":                  {func(c *situation) { c.wish.env.Merge, c.seen.pull.Head = MergeAuto, other; tell(c) }, wait},
		"held":                                   {func(c *situation) { held(c); c.wish.env.Merge = MergeAuto }, rest},
		"held, armed":                            {func(c *situation) { held(c); c.seen.pull.Armed = true }, disarm},
		"held, queued":                           {func(c *situation) { held(c); c.seen.pull.Queued = true }, disarm},
		"held, without a pull request":           {func(c *situation) { held(c); c.seen.pull = nil }, rest},
		"not wanted":                             {func(c *situation) { c.wish.Close = "no" }, closePull},
		"not wanted, armed":                      {func(c *situation) { c.wish.Close, c.seen.pull.Armed = "no", true }, disarm},
		"not wanted, closed":                     {func(c *situation) { c.wish.Close, c.seen.pull.State, c.seen.pull.ByUs = "no", PullClosed, true }, remove},
		"not wanted, nothing there":              {func(c *situation) { c.wish.Close, c.seen.pull, c.seen.head, c.seen.topic = "no", nil, zero, Topic{} }, report},
		"closed by a person":                     {func(c *situation) { c.seen.pull.State = PullClosed }, report},
		"closed, not known by whom":              {func(c *situation) { c.seen.pull.State, c.seen.fresh = PullClosed, false }, askGet},
		"closed by tallyman":                     {func(c *situation) { c.seen.pull.State, c.seen.pull.ByUs = PullClosed, true }, create},
		"merged":                                 {func(c *situation) { merged(c); c.seen.landed = nil }, askLanded},
		"merged, on the base branch":             {merged, report},
		"another's is newer":                     {another(PullOpen, false), askPast},
		"another's is newer, it was merged":      {another(PullMerged, false), askLanded},
		"another's is newer, a person closed it": {another(PullClosed, false), report},
		"another's is newer, we closed it":       {another(PullClosed, true), askBuild},
		"merged, not there yet": {func(c *situation) {
			merged(c)
			*c.seen.landed, c.seen.over = landing{number: 1}, c.seen.now
			c.seen.pull.EndedAt = c.seen.now.Add(-time.Hour) // by a clock that is behind
		}, wait},
		"merged, never there": {func(c *situation) {
			merged(c)
			*c.seen.landed, c.seen.over = landing{number: 1}, c.seen.now
			c.seen.now = c.seen.now.Add(time.Hour)
		}, report},
		"a person's commit": {personal, edit},
		"a person's commit, remarked": {func(c *situation) {
			personal(c)
			c.seen.pull.Text = c.seen.markedText(c.wish)
			c.wish.remark = c.seen.head
		}, comment},
		"a person's commit, perhaps merged": {func(c *situation) {
			personal(c)
			c.seen.base.Tag, c.seen.origin, c.seen.current = c.wish.Update.Tag, &Origin{}, false
		}, askGet},
		"a person's commit, told":          {func(c *situation) { personal(c); c.seen.pull.Text = c.seen.markedText(c.wish); tell(c) }, rest},
		"a person's commit, armed":         {func(c *situation) { personal(c); c.wish.env.Merge, c.seen.pull.Armed = MergeAuto, true }, disarm},
		"a person's commit, armed by whom": {func(c *situation) { personal(c); c.seen.pull.Armed, c.seen.fresh = true, false }, askGet},
		"a person's commit, armed by us":   {func(c *situation) { personal(c); c.seen.pull.Armed, c.seen.pull.ArmedByUs = true, true }, disarm},
		"a person's commit, armed by one":  {func(c *situation) { personal(c); c.seen.pull.Armed = true }, edit},
		"a person's commit, newer tag":     {func(c *situation) { personal(c); newer(c); c.seen.pull.Text = c.seen.markedText(c.wish) }, report},
		"a person's branch":                {func(c *situation) { personal(c); c.seen.pull = nil; c.wish.reported = false }, askLanded},
		"a person's branch, not merged":    {func(c *situation) { personal(c); c.seen.pull, c.seen.landed = nil, &landing{}; c.wish.reported = false }, report},
		"a person's branch, merged":        {func(c *situation) { personal(c); c.seen.pull, c.seen.landed = nil, &landing{topic: true} }, askBuild},
		"a newer tag":                      {newer, askBuild},
		"a newer tag, built":               {func(c *situation) { newer(c); c.seen.built = &Built{Commit: other} }, push},
		"a rollback":                       {func(c *situation) { newer(c); c.wish.Update.Terms = &gitops.Terms{RollsBack: "1.0.0"} }, closePull},
		"the branch was deleted just now":  {func(c *situation) { c.seen.head, c.seen.topic, c.seen.gone = zero, Topic{}, c.seen.now }, wait},
		"the branch was deleted":           {func(c *situation) { c.seen.head, c.seen.topic, c.seen.gone = zero, Topic{}, c.seen.now.Add(-goneWait) }, closePull},
		"a branch is in the way": {func(c *situation) {
			c.seen.pull, c.seen.head, c.seen.topic, c.seen.inWay = nil, zero, Topic{}, "tallyman/prod"
			c.wish.reported = false
		}, report},
	} {
		c := opened()
		tt.change(&c)
		if got := next(c.seen, c.wish); got.do != tt.want {
			t.Errorf("%s: the next step is %q (%+v), not %q", name, got.do, got.results, tt.want)
		}
	}
}

func onBase(c *situation) {
	c.seen.base.Tag, c.seen.origin = c.wish.Update.Tag, &Origin{Commit: git.Hash{5}, Updates: []string{c.wish.Update.ID}}
}

func held(c *situation) {
	c.wish.Held = []gitops.Block{{Kind: gitops.BlockFreeze, Reason: "held: frozen"}}
	c.seen.pull.Text = c.seen.textOf(c.wish)
	tell(c)
}

func merged(c *situation) {
	p := *c.seen.pull
	p.State, p.Landed, p.EndedAt = PullMerged, git.Hash{5}, c.seen.now
	c.seen.pull, c.seen.landed, c.seen.over = &p, &landing{number: 1, commit: true}, c.seen.now
}

func personal(c *situation) {
	c.seen.topic = Topic{Author: "bo"}
	c.seen.head = git.Hash{2}
	c.seen.pull.Head = c.seen.head
}

// newer wishes for a newer tag than the pull request's.
func newer(c *situation) {
	u := someUpdate()
	u.ID, u.Tag = "00000000-0000-8000-8000-000000000002", "1.2.0"
	older := c.wish.ProposalWish
	c.wish = wish{ProposalWish: gitops.ProposalWish{Update: u}, env: c.wish.env, older: []gitops.ProposalWish{older}}
}

// tell has the lane know the pull request as it is.
func tell(c *situation) {
	p := c.seen.proposal(c.wish.Update)
	p.WaitsFor = c.seen.waitsFor(c.wish)
	c.wish.Update.Proposal = &p
}

// another has the branch's newest pull request be another update's, which was merged and which
// no lane wishes for any more. The update's own one is as given.
func another(own PullState, byUs bool) func(c *situation) {
	u := someUpdate()
	u.ID = gitops.UpdateID(gitops.DeliveryKey{Source: "test", ID: "d2"}, u.Environment, u.App)
	return func(c *situation) {
		c.seen.past = &Pull{Number: 1, State: own, ByUs: byUs}
		c.seen.pull = &Pull{Number: 2, State: PullMerged, Head: git.Hash{7}, Text: Text{Body: u.Trailers()}}
		c.seen.head, c.seen.topic = zero, Topic{}
		if own == PullOpen {
			c.seen.past = nil
		}
	}
}
