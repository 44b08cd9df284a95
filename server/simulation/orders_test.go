package simulation

import (
	"encoding/json"
	"slices"

	"github.com/tallyman-dev/tallyman/gitops"
)

// names are a text or a list of texts, as a sender writes them.
func names(list []string) string {
	if len(list) == 1 {
		return string(must(json.Marshal(list[0])))
	}
	return string(must(json.Marshal(list)))
}

// several are what the nth order asks for: mostly one app in one environment, now and then
// two apps, or two environments of one rule, of which one may not be there.
func several(n int, environment, app string) (toEnvironments, toApps []string) {
	toEnvironments, toApps = []string{environment}, []string{app}
	if other := apps[n%len(apps)]; n%5 == 0 && other != app {
		toApps = append(toApps, other)
	}
	switch {
	case environment == "prod": // of a rule of its own
	case n%7 == 0:
		toEnvironments = []string{"staging", "dev"}
	case n%11 == 0:
		toEnvironments = append(toEnvironments, "nowhere")
	}
	return toEnvironments, toApps
}

// whole holds an accepted order to what its sender asked for: all of it, in its order, by
// a reading of the body that the service does not have. The lock is held.
func (c *checker) whole(d gitops.Delivery) {
	if d.Source != orders.Source() || len(d.Updates) == 0 {
		return
	}
	var asked struct {
		Payload struct {
			App, Env any
		} `json:"client_payload"`
	}
	if err := json.Unmarshal([]byte(c.w.hub.body(d.ID)), &asked); err != nil {
		panic(err) // the body is ours
	}
	var want, got []release
	for _, environment := range listOf(asked.Payload.Env) {
		for _, app := range listOf(asked.Payload.App) {
			want = append(want, release{environment, app})
		}
	}
	for _, u := range d.Updates {
		got = append(got, release{u.Environment, u.App})
	}
	if len(want) > 1 {
		met.meet("an order of several was accepted")
	}
	if !slices.Equal(want, got) {
		c.wrong("delivery %s asks for %v, and of it was accepted %v", d.Key(), want, got)
	}
}

// listOf is a text or a list of texts as package json reads them.
func listOf(value any) (list []string) {
	if text, ok := value.(string); ok {
		return []string{text}
	}
	for _, item := range value.([]any) {
		list = append(list, item.(string))
	}
	return list
}
