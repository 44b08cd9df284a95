package main

import (
	"fmt"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

// rolloutText says in a line where an update stands in the cluster, and where a person is
// awaited the page to do it on; "" where nothing is known of that.
func (p *printer) rolloutText(u gitops.Update) string {
	r := u.Rollout
	if r == nil {
		return ""
	}
	text := withReason(p.paint(string(r.State), stateColours[string(r.State)]), r.Reason)
	if url := pageOf(*r); url != "" && (r.State == gitops.RolloutPerson || r.State == gitops.RolloutPaused) {
		text += ": " + url
	}
	return "in the cluster: " + text
}

// pageOf is the page of the first place that a rollout's state is that of; "" where none is
// known.
func pageOf(r gitops.Rollout) string {
	for _, place := range r.Places {
		if place.State == r.State && place.URL != "" {
			return place.URL
		}
	}
	return ""
}

// rollout shows where the update of an app stands in the cluster, since when, who says so, of
// which places, until when it has time, and what a person can do.
func (p *printer) rollout(app, environment string, r gitops.Rollout) {
	since := timestamp(r.Since) + " UTC"
	if !r.State.Final() {
		since += fmt.Sprintf(" (%s)", p.ago(r.Since))
	}
	if who := saysWho(r.By); who != "" {
		since += ", says " + who
	}
	p.line("  ", "In the cluster: %s", withReason(p.paint(string(r.State), stateColours[string(r.State)])+" since "+since, r.Reason))
	for _, place := range r.Places {
		p.line("    ", "- %s", withReason(place.Name+": "+string(place.State), place.Reason))
		if place.URL != "" {
			p.line("      ", "%s", place.URL)
		}
	}
	if r.Revision != "" {
		p.line("    ", "The cluster has revision %s", r.Revision)
	}
	switch {
	case r.State.Final() || r.Deadline.IsZero():
	case r.State.Stands():
		p.line("    ", "Its time does not run out meanwhile")
	default:
		p.line("    ", "It has until %s UTC (%s)", p.when(r.Deadline), p.ahead(r.Deadline))
	}
	for _, line := range waysOut(app, environment, r) {
		p.line("    ", "%s", line)
	}
}

// saysWho names who says where an update stands.
func saysWho(by string) string {
	if by == "argocd" {
		return "Argo CD"
	}
	return by
}

// waysOut say what a person can do about a rollout; nothing where it goes on by itself, or is
// as it should be.
func waysOut(app, environment string, r gitops.Rollout) []string {
	at := ""
	if url := pageOf(r); url != "" {
		at = ": " + url
	}
	back := fmt.Sprintf("To go back: tallyman rollback %s --env %s --reason TEXT", app, environment)
	switch r.State {
	case gitops.RolloutPerson:
		return []string{"Nothing does it by itself. Sync it in Argo CD" + at}
	case gitops.RolloutPaused:
		return []string{"Promote or abort it where it is rolled out" + at, back}
	case gitops.RolloutUnknown:
		return []string{"tallyman asks again by itself"}
	case gitops.RolloutDegraded:
		return []string{"See why" + at, back}
	case gitops.RolloutSyncFailed:
		return []string{"Fix what keeps it from being applied" + at, back}
	case gitops.RolloutTimedOut:
		return []string{"It is followed no longer. See where it stands" + at, back}
	case gitops.RolloutUnmapped:
		return []string{
			fmt.Sprintf("To name what reads its file: apps.%s.argocd.%s in the configuration, as PROJECT/APPLICATION", app, environment),
			fmt.Sprintf("To follow no app there: environments.%s.rollout.by: none", environment),
		}
	case gitops.RolloutGone:
		return []string{"Restore what read its file, or take the app out of the environment"}
	}
	return nil
}

// needsPerson reports whether somebody must do something about what stands so.
func needsPerson(s gitops.RolloutState) bool {
	return s.Failed() || s == gitops.RolloutPerson || s == gitops.RolloutPaused || s == gitops.RolloutGone
}

// rolloutCell is an app's tag with where that stands in the cluster, unless that is of
// another tag that was written last.
func rolloutCell(app api.App) cell {
	r := app.Rollout
	if r.Tag != app.Tag { // the branch moved on since
		return cell{app.Tag, ""}
	}
	return cell{app.Tag + " " + string(r.State), stateColours[string(r.State)]}
}

// appRolloutText says why an app does not run what was written last, and which command tells
// more.
func (p *printer) appRolloutText(r api.AppRollout) string {
	text := withReason(fmt.Sprintf("%s is %s since %s", r.Tag, r.State, p.when(r.Since)), r.Reason)
	return fmt.Sprintf("%s. See: tallyman explain %s", text, r.Update)
}

// joined joins texts that are there.
func joined(texts ...string) string {
	var there []string
	for _, text := range texts {
		if text != "" {
			there = append(there, text)
		}
	}
	return strings.Join(there, "; ")
}
