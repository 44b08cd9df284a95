package api

import "testing"

// An outage of one manifest repository is of the apps whose files are there.
func TestOutageOf(t *testing.T) {
	e := Environment{Lane: Lane{Outage: &Outage{Manifests: "pay", Reason: "no answer"}}, Apps: []App{{App: "api", Manifests: "default"}, {App: "wallet", Manifests: "pay"}}}
	for app, want := range map[string]bool{"api": false, "wallet": true, "unknown": true} {
		if got := e.OutageOf(app); (got != nil) != want {
			t.Errorf("%s waits for %+v", app, got)
		}
	}
	if got := e.Lane.Outage.Text(); got != "manifest repository pay: no answer" {
		t.Errorf("it is told as %q", got)
	}
	e.Lane.Outage.Manifests = ""
	if got := e.OutageOf("api"); got == nil || got.Text() != "no answer" {
		t.Errorf("an outage of the lane is %+v", got)
	}
}
