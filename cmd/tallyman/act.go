package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/gate"
	"github.com/tallyman-dev/tallyman/server/api"
)

// actFlags are the flags of commands that place or lift holds.
type actFlags struct {
	dryRun bool
	key    string
	reason string
}

// howToRepeat is part of the help of each of these commands.
const howToRepeat = `

--dry-run shows what would be done and does nothing. Without an answer of the server
repeat the command with the --key that the error names: it is done once.`

func (f *actFlags) flags(cmd *cobra.Command, reason string) {
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "show what would be done, and do nothing")
	cmd.Flags().StringVar(&f.key, "key", "", "`id` of the request: the same one again is done once (default: a new one)")
	cmd.Flags().StringVar(&f.reason, "reason", "", "`text` for everybody whose updates are held, and for the audit: "+reason)
	cmd.Long = strings.TrimSpace(cmd.Long) + howToRepeat
}

// needReason is bad input without a reason, for what others must be able to understand.
func (f *actFlags) needReason() error {
	if strings.TrimSpace(f.reason) == "" {
		return badInput{errors.New("--reason is required: everybody whose updates are held reads it")}
	}
	return nil
}

// once makes a request under a key. Without an answer its error names the key, so that
// the command can be repeated safely.
func once(key string, dryRun bool, request func(key string) error) error {
	if key == "" {
		key = uuid.NewString()
	}
	err := request(key)
	if gitops.CodeOf(err) == gitops.Unavailable && err != nil && !dryRun {
		return unknownResult{err, key}
	}
	return err
}

// area is which apps in which environments a command is about; an empty list means all.
type area struct {
	environments, apps []string
}

func (r *area) flags(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&r.environments, "env", nil, "`name` of the environment, or several (default: all)")
	cmd.Flags().StringSliceVar(&r.apps, "app", nil, "`name` of the app, or several (default: all)")
}

// name says which names of the area the server does not have, where it rejected a request
// for that; else the error is as it was.
func (r area) name(a apiRun, err error) error {
	if code := gitops.CodeOf(err); err == nil || code != gitops.Rejected && code != gitops.NotFound && code != gitops.Invalid {
		return err
	}
	for _, environment := range r.environments {
		if unknown := a.checkNames(environment, ""); unknown != nil {
			return gitops.Errorf(gitops.CodeOf(err), "%s", unknown)
		}
	}
	for _, app := range r.apps {
		if unknown := a.checkNames("", app); unknown != nil {
			return gitops.Errorf(gitops.CodeOf(err), "%s", unknown)
		}
	}
	return err
}

// areaOf is what a hold is about.
func areaOf(h gitops.Hold) area { return area{h.Environments, h.Apps} }

// String is the area in words: "prod", "cart and pay in prod", "everything".
func (r area) String() string {
	apps, environments := enumerate(r.apps), enumerate(r.environments)
	switch {
	case apps == "" && environments == "":
		return "everything"
	case apps == "":
		return environments
	case environments == "":
		return apps + " everywhere"
	}
	return apps + " in " + environments
}

// enumerate is a list in words.
func enumerate(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// place places a hold and prints the answer; what was ordered with it is waited for.
func (a apiRun) place(f actFlags, h api.HoldRequest, w waitFlags) error {
	h.Reason, h.DryRun = f.reason, f.dryRun
	var placed api.HoldAnswer
	err := once(f.key, f.dryRun, func(key string) (err error) {
		placed, err = a.server.PlaceHold(a.Context(), key, h)
		return err
	})
	if err != nil {
		return area{h.Environments, h.Apps}.name(a, err)
	}
	var end error
	if placed.Order != nil && w.waits() && !f.dryRun && len(placed.Order.Updates) > 0 {
		end = a.await(placed.Order.Updates, w)
	}
	p := a.print
	err = p.print(placed, func() {
		p.nothingDone(f.dryRun)
		p.placed(placed.Hold)
		p.replaced(placed.Replaced)
		if placed.Stop != nil {
			p.stopped(*placed.Stop, a.asTheyAre(placed.Stop.UnderWay))
		}
		if placed.Order != nil {
			p.orderedWith(*placed.Order, f.dryRun)
		}
		if n := len(placed.UnderWay); n > 0 {
			p.line("  ", "It would hold %s that %s open: %s", plural(n, "update"), isOrAre(n), firstFew(placed.UnderWay))
		}
		p.undo(placed.Undo)
	})
	return errors.Join(err, end)
}

func (p *printer) nothingDone(dry bool) {
	if dry {
		p.line("", "Dry run: nothing was done. This would be done:")
	}
}

// placed says what a hold holds; one of a dry run has no id.
func (p *printer) placed(h gitops.Hold) {
	p.line("", "%s of %s: %s", capital(kindWords[h.Kind]), areaOf(h), p.holdLine(h))
	p.ended(h)
}

// ended says that a hold is not in force any more: the answer to a request that is repeated
// has what the first one placed.
func (p *printer) ended(h gitops.Hold) {
	if !h.InForce(p.now) {
		p.line("  ", "It was placed before, and is not in force any more: %s", p.endCell(h).text)
	}
}

// words says what a hold does, and how far away its end is.
func (p *printer) words(h gitops.Hold) string {
	text := gate.Words(h)
	if h.Lifted == nil && h.Until.After(p.now) {
		text += " (" + p.ahead(h.Until) + ")"
	}
	return text
}

func (p *printer) replaced(holds []gitops.Hold) {
	for _, h := range holds {
		p.line("  ", "It takes the place of %s: %s", h.ID, p.words(h))
	}
}

// asTheyAre says of updates what each is now, of many of the first. One that cannot be read
// is its id alone.
func (a apiRun) asTheyAre(ids []string) (lines []string) {
	for _, id := range ids[:min(mostListed, len(ids))] {
		line := "update " + id
		if u, err := a.server.Update(a.Context(), id); err == nil {
			line = fmt.Sprintf("%s: %s", title(u), a.print.outcome(u))
		}
		lines = append(lines, line)
	}
	if more := len(ids) - mostListed; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return lines
}

// stopped says what was being pushed when a stop was placed, and since when nothing is.
func (p *printer) stopped(s api.Stopped, pushed []string) {
	if len(pushed) == 0 {
		p.line("  ", "Nothing was being pushed")
	} else {
		p.line("  ", "Being pushed when it was placed, which a stop cannot take back:")
	}
	for _, line := range pushed {
		p.line("    ", "%s", line)
	}
	if !s.QuietSince.IsZero() {
		p.line("  ", "Quiet since %s", p.when(s.QuietSince))
	}
	if len(s.OtherReplicas) > 0 {
		p.line("  ", "Other replicas see it before their next push: %s", firstFew(s.OtherReplicas))
	}
}

// orderedWith shows the updates that were ordered with a hold. Those of a dry run cannot
// be explained: nothing was stored.
func (p *printer) orderedWith(d gitops.Delivery, dry bool) {
	for _, u := range d.Updates {
		p.line("  ", "%s: %s", title(u), p.outcome(u))
	}
	if d.ID != "" && !dry {
		p.line("", "details: tallyman explain %s", d.Key())
	}
}

func (p *printer) undo(command string) {
	if command != "" {
		p.line("", "to undo it: %s", command)
	}
}

// mostListed is how many of many are listed.
const mostListed = 10

// firstFew lists the first of many.
func firstFew(names []string) string {
	text := strings.Join(names[:min(mostListed, len(names))], ", ")
	if more := len(names) - mostListed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func isOrAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}
