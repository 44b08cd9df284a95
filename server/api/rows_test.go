package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
)

// manyApps is the state of so many apps in each of four environments.
func manyApps(apps int) (e Environments) {
	e.Branch.AsOf = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	for _, name := range []string{"dev", "qa", "staging", "prod"} {
		environment := Environment{Name: name, Apps: []App{}}
		for n := range apps {
			app := fmt.Sprintf("app-%05d", n)
			environment.Apps = append(environment.Apps, App{App: app, File: "charts/" + app + "/values-" + name + ".yaml", Tag: "main-1a2b3c4"})
		}
		e.Environments = append(e.Environments, environment)
	}
	return e
}

// The environments are written as encoding/json writes them.
func TestEnvironmentsAreWrittenInTheirForm(t *testing.T) {
	strange := manyApps(1)
	strange.Branch = BranchState{Problem: `"down" & <out>`}
	strange.Environments[0].Removed = true
	strange.Environments[1].Lane = Lane{Ready: 3, Held: map[gitops.BlockKind]int{gitops.BlockRefused: 1}, Holder: "one", Outage: &Outage{Code: gitops.Unavailable, Reason: "down"}}
	strange.Environments[2].Apps = []App{
		{App: `quo"ted`, File: `back\slash`, Tag: "line\nend"},
		{App: "größe", File: "\xff", Tag: "<tag>\u2028", Problem: "is \x00 & \x7f"},
		{App: "rolling", File: "a", Tag: "1", Rollout: &AppRollout{Update: "u1", Tag: "1", State: gitops.RolloutDegraded, Reason: `a "pod" <crashes>`, Since: strange.Branch.AsOf}},
		{App: "two", Manifests: `the "pay"`, File: "a", Tag: "1", Differs: []AppFile{{File: "<b>", Tag: "2"}, {File: "c", Problem: `no "key"`}}},
	}
	strange.SetAside = []gitops.Suspect{{ParsedObject: gitops.ParsedObject{Object: "1111", Kind: gitops.ParsedFile, Path: `a"b.yaml`}, Deaths: 2, Holder: "one"}}
	for name, e := range map[string]Environments{"none": {Environments: []Environment{}}, "strange": strange, "many": manyApps(1000)} {
		var out bytes.Buffer
		if err := e.WriteJSON(&out); err != nil {
			t.Fatal(err)
		}
		want, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		var written, encoded any
		if err := errors.Join(json.Unmarshal(out.Bytes(), &written), json.Unmarshal(want, &encoded)); err != nil {
			t.Fatalf("%s: %v in\n%s", name, err, out.Bytes())
		}
		if diff := cmp.Diff(encoded, written); diff != "" {
			t.Errorf("%s: (-encoding/json +written)\n%s", name, diff)
		}
	}
}

// A reader that went away ends the writing.
func TestEnvironmentsEndWithTheirReader(t *testing.T) {
	gone := errors.New("gone")
	r, w := io.Pipe()
	r.CloseWithError(gone)
	if err := manyApps(1000).WriteJSON(w); !errors.Is(err, gone) {
		t.Errorf("the error is %v", err)
	}
}

// The state of 10,000 apps in 4 environments.
func BenchmarkEnvironments(b *testing.B) {
	e := manyApps(10_000)
	b.ReportAllocs()
	for b.Loop() {
		if err := e.WriteJSON(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}
