package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

// wanted says which holds are to be lifted: one by its id, or those of exactly an area.
type wanted struct {
	kind gitops.HoldKind
	id   string
	tag  string // of a bad mark
	area area
	wide bool // those of any environment, because none was named
}

// is reports whether a hold is one of those.
func (l wanted) is(h gitops.Hold) bool {
	if l.id != "" {
		return h.ID == l.id
	}
	return sameNames(h.Apps, l.area.apps) && (l.wide || sameNames(h.Environments, l.area.environments)) && (l.tag == "" || h.Tag == l.tag)
}

// touches reports whether a hold holds something of the area.
func (l wanted) touches(h gitops.Hold) bool {
	return shareNames(h.Apps, l.area.apps) && shareNames(h.Environments, l.area.environments) && (l.tag == "" || h.Tag == l.tag)
}

func (l wanted) String() string {
	text := fmt.Sprintf("%s of %s", kindWords[l.kind], l.area)
	switch {
	case l.id != "":
		text = fmt.Sprintf("%s with the ID %s", kindWords[l.kind], l.id)
	case l.tag != "":
		text = fmt.Sprintf("%s of %s of %s", kindWords[l.kind], l.tag, l.area)
	}
	return text
}

// kindWords are what people call the kinds.
var kindWords = map[gitops.HoldKind]string{
	gitops.HoldPin: "pin", gitops.HoldFreeze: "freeze", gitops.HoldStop: "stop", gitops.HoldBad: "bad mark",
}

// sameNames reports whether two lists have the same names, in any order.
func sameNames(a, b []string) bool {
	return slices.Equal(slices.Compact(slices.Sorted(slices.Values(a))), slices.Compact(slices.Sorted(slices.Values(b))))
}

// shareNames reports whether two lists share a name; an empty list has all.
func shareNames(a, b []string) bool {
	return len(a) == 0 || len(b) == 0 || slices.ContainsFunc(a, func(name string) bool { return slices.Contains(b, name) })
}

// lifted is what a command lifted. It is its JSON form.
type lifted struct {
	Lifted []api.LiftAnswer `json:"lifted"`
	// Remaining are holds of the same kind that still hold something of the area.
	Remaining []gitops.Hold `json:"remaining"`
}

// lift lifts what is wanted of the holds in force, and prints what that made ready and what
// still holds.
func (a apiRun) lift(f actFlags, l wanted) error {
	inForce, err := a.inForce(l.kind)
	if err != nil {
		return err
	}
	done := lifted{Remaining: []gitops.Hold{}}
	var found []gitops.Hold
	for _, h := range inForce {
		if l.is(h) {
			found = append(found, h)
		} else if l.id == "" && l.touches(h) {
			done.Remaining = append(done.Remaining, h)
		}
	}
	if len(found) == 0 {
		return l.area.name(a, a.noneOf(l, inForce))
	}
	err = once(f.key, f.dryRun, func(key string) error {
		for _, h := range found {
			answer, err := a.server.LiftHold(a.Context(), liftKey(key, h, len(found)), h.ID, f.reason, f.dryRun)
			if err != nil {
				return err
			}
			done.Lifted = append(done.Lifted, answer)
		}
		return nil
	})
	if len(done.Lifted) == 0 {
		return err
	}
	err = errors.Join(a.print.print(done, func() { a.print.lifted(done, f.dryRun) }), err) // what was lifted stays lifted
	if repeated := a.repeated(l); repeated != "" && a.remote.format == "table" {
		a.print.line("", "Still in force: %s", repeated)
	}
	return err
}

// liftKey is the key of one of several requests.
func liftKey(key string, h gitops.Hold, of int) string {
	if of == 1 {
		return key
	}
	return key + "." + h.ID
}

// inForce are the holds of a kind that are in force.
func (a apiRun) inForce(kind gitops.HoldKind) ([]gitops.Hold, error) {
	const all = 100_000
	return collect(a.Context(), filterOf("kind", string(kind)), all, a.holdPage)
}

func (a apiRun) holdPage(ctx context.Context, filter url.Values) ([]gitops.Hold, string, error) {
	list, err := a.server.Holds(ctx, filter)
	return list.Holds, list.Next, err
}

// noneOf is the error when nothing that is in force is wanted. It lists what comes nearest,
// by its id, which the command takes, too.
func (a apiRun) noneOf(l wanted, inForce []gitops.Hold) error {
	const shown = 5
	var near []string
	for _, h := range inForce {
		if l.id != "" || l.touches(h) {
			near = append(near, fmt.Sprintf("%s of %s (%s)", h.ID, areaOf(h), a.print.words(h)))
		}
	}
	text := fmt.Sprintf("no %s is in force", l)
	if more := len(near) - shown; more > 0 {
		near = append(near[:shown], fmt.Sprintf("and %d more", more))
	}
	repeated := a.repeated(l)
	switch {
	case len(near) > 0:
		text += ". In force: " + strings.Join(near, "; ")
	case repeated == "":
		text += ": tallyman holds lists what is"
	}
	if repeated != "" {
		text += ". " + repeated
	}
	return gitops.Errorf(gitops.NotFound, "%s", text)
}

// repeated names the freeze of the configuration that is to be lifted, by its name, or that
// holds something of the area now, and says what can be done; "" when there is none.
func (a apiRun) repeated(l wanted) string {
	if l.kind != gitops.HoldFreeze {
		return ""
	}
	list, err := a.server.Freezes(a.Context(), nil)
	if err != nil { // it is an addition to what is said
		return ""
	}
	meant := list.Now
	if l.id != "" {
		meant = append(meant, list.Closed...)
	}
	for _, c := range meant {
		if c.Freeze == l.id || l.id == "" && l.touches(gitops.Hold{Environments: c.Environments, Apps: c.Apps}) {
			return fmt.Sprintf("Freeze %s of %s is in the configuration, and no command lifts it: take its window out of freezes, or have one order pass it (tallyman update --override)",
				c.Freeze, area{c.Environments, c.Apps})
		}
	}
	return ""
}

func (p *printer) lifted(done lifted, dry bool) {
	p.nothingDone(dry)
	for _, l := range done.Lifted {
		p.line("", "Lifted %s, %s of %s: %s", l.Hold.ID, kindWords[l.Hold.Kind], areaOf(l.Hold), p.words(l.Hold))
		p.line("  ", "%s", held(l.Ready))
		p.undo(l.Undo)
	}
	for _, h := range done.Remaining {
		p.line("", "Still in force: %s, %s of %s: %s", h.ID, kindWords[h.Kind], areaOf(h), p.words(h))
	}
}

// held says how many updates were held. What else holds them is found by their lane.
func held(n int) string {
	switch n {
	case 0:
		return "It held no update"
	case 1:
		return "It held 1 update, which goes on unless something else holds it"
	}
	return fmt.Sprintf("It held %d updates, which go on unless something else holds them", n)
}
