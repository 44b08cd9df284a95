package api

import "testing"

// An outage of one manifest repository is of the apps whose files are there.
func TestOutageOf(t *testing.T) {
	e := Environment{Lane: Lane{Outage: &Outage{Manifests: []string{"pay"}, Reason: "no answer"}}, Apps: []App{{App: "api", Manifests: "default"}, {App: "wallet", Manifests: "pay"}, {App: "web", Manifests: "shop"}}}
	wait := func(want map[string]bool) {
		t.Helper()
		for app, want := range want {
			if got := e.OutageOf(app); (got != nil) != want {
				t.Errorf("%s waits for %+v", app, got)
			}
		}
	}
	wait(map[string]bool{"api": false, "wallet": true, "web": false, "unknown": true})
	if got := e.Lane.Outage.Text(); got != "manifest repository pay: no answer" {
		t.Errorf("it is told as %q", got)
	}
	e.Lane.Outage = &Outage{Manifests: []string{"pay", "shop"}, Reason: "pay: no answer; shop: unauthorized"}
	wait(map[string]bool{"api": false, "wallet": true, "web": true, "unknown": true})
	if got := e.Lane.Outage.Text(); got != "manifest repositories pay: no answer; shop: unauthorized" {
		t.Errorf("it is told as %q", got)
	}
	e.Lane.Outage = &Outage{Reason: "no answer"}
	if got := e.OutageOf("api"); got == nil || got.Text() != "no answer" {
		t.Errorf("an outage of the lane is %+v", got)
	}
}
