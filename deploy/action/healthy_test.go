package action_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// rollsOut answers the order with an update that is pending, and what is asked later with one
// that is committed and followed, and stands in the cluster as the rollouts say, one after the
// other; the last of them again and again. "" is one of which nothing is known.
func rollsOut(followedBy string, rollouts ...string) intercept {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			_, _ = io.WriteString(w, `{"updates": [{"id": "u1", "app": "api", "environment": "dev", "state": "pending"}]}`)
			return true
		}
		rollout := ""
		if rollouts[0] != "" {
			rollout = `, "rollout": ` + rollouts[0]
		}
		if len(rollouts) > 1 {
			rollouts = rollouts[1:]
		}
		_, _ = fmt.Fprintf(w, `{"id": "u1", "app": "api", "environment": "dev", "state": "committed", "commit": "c0ffee", "followedBy": %q%s}`, followedBy, rollout)
		return true
	}
}

// stands is a rollout in a state, for a reason.
func stands(state, reason string) string {
	return fmt.Sprintf(`{"state": %q, "reason": %q, "since": "2026-01-02T12:00:00Z"}`, state, reason)
}

// With wait: healthy the step goes on until the update runs, and fails when it does not, or when
// nothing says so. The others end when it is committed, wherever it stands.
func TestHealthy(t *testing.T) {
	needTools(t, actionTools...)
	s := newSite(t)
	for name, c := range map[string]struct {
		wait, timeout string
		now           intercept
		failed        bool
		rollout, why  string
	}{
		"runs":                         {"healthy", "20s", rollsOut("argocd", "", stands("progressing", "1 of 3 pods is ready"), stands("healthy", "")), false, "healthy", "committed c0ffee"},
		"is degraded":                  {"healthy", "20s", rollsOut("argocd", stands("degraded", "runs api:1.3.0, not 1.4.0")), true, "degraded", "not known to run: committed: in the cluster: degraded: runs api:1.3.0, not 1.4.0"},
		"cannot be applied":            {"healthy", "20s", rollsOut("argocd", stands("sync_failed", "no such kind")), true, "sync_failed", "in the cluster: sync_failed: no such kind"},
		"timed out":                    {"healthy", "20s", rollsOut("argocd", stands("timed_out", "")), true, "timed_out", "not known to run: committed: in the cluster: timed_out"},
		"was superseded":               {"healthy", "20s", rollsOut("argocd", stands("superseded", "superseded by 1.4.1 (update u2)")), true, "superseded", "superseded by 1.4.1 (update u2)"},
		"is gone":                      {"healthy", "20s", rollsOut("argocd", stands("gone", "")), true, "gone", "in the cluster: gone"},
		"is unmapped":                  {"healthy", "20s", rollsOut("argocd", stands("unmapped", "no Application reads it")), true, "unmapped", "not known to run: committed: in the cluster: unmapped: no Application reads it"},
		"is not followed":              {"healthy", "20s", rollsOut("", ""), true, "", "not known to run: committed: nothing says whether it runs, for its updates are not followed to the cluster"},
		"is followed no longer":        {"healthy", "20s", rollsOut("", stands("progressing", "")), true, "progressing", "not known to run: committed: in the cluster: progressing"},
		"a person must sync it":        {"healthy", "2s", rollsOut("argocd", stands("person", "it is not synced by itself")), true, "person", "still committed after 2s: in the cluster: person: it is not synced by itself"},
		"is paused":                    {"healthy", "2s", rollsOut("argocd", stands("paused", "at 20 %")), true, "paused", "still committed after 2s: in the cluster: paused: at 20 %"},
		"cannot be asked":              {"healthy", "2s", rollsOut("argocd", stands("unknown", "argocd.example does not answer")), true, "unknown", "still committed after 2s: in the cluster: unknown: argocd.example does not answer"},
		"nothing is known yet":         {"healthy", "2s", rollsOut("argocd", ""), true, "", "still committed after 2s: it is not known yet whether it runs"},
		"is degraded, and not awaited": {"committed", "20s", rollsOut("argocd", stands("degraded", "x")), false, "degraded", "committed c0ffee"},
		"is not followed, nor awaited": {"proposed", "20s", rollsOut("", ""), false, "", "committed c0ffee"},
	} {
		t.Run(name, func(t *testing.T) {
			s.inFront(c.now)
			r := s.run(map[string]string{"wait": c.wait, "timeout": c.timeout})
			if r.failed != c.failed || r.outputs["state"] != "committed" || r.outputs["commit"] != "c0ffee" || r.outputs["rollout"] != c.rollout || !strings.Contains(r.log, c.why) {
				t.Errorf("failed: %t, outputs %v; want %q in the log:\n%s", r.failed, r.outputs, c.why, r.log)
			}
			if name == "runs" && !strings.Contains(r.log, "tallyman: committed: in the cluster: progressing: 1 of 3 pods is ready") {
				t.Errorf("the log does not say where it stood:\n%s", r.log)
			}
			if !strings.Contains(r.outputs["updates"], `"rollout":"`+c.rollout+`"`) || strings.Contains(r.outputs["updates"], "followedBy") {
				t.Errorf("updates %s", r.outputs["updates"])
			}
		})
	}
}

// Of several updates one that does not run fails the step, also beside one that runs.
func TestSeveralHealthy(t *testing.T) {
	needTools(t, actionTools...)
	s := newSite(t)
	for second, failed := range map[string]bool{"healthy": false, "degraded": true} {
		s.inFront(func(w http.ResponseWriter, _ *http.Request) bool {
			_, _ = io.WriteString(w, `{"updates": [{"id": "u1", "app": "api", "environment": "dev", "state": "committed", "followedBy": "argocd", "rollout": `+stands("healthy", "")+`},
				{"id": "u2", "app": "web", "environment": "dev", "state": "unchanged", "followedBy": "argocd", "rollout": `+stands(second, "why")+`}]}`)
			return true
		})
		r := s.run(map[string]string{"app": "api,web", "wait": "healthy"})
		if r.failed != failed || failed && (r.outputs["rollout"] != second || !strings.Contains(r.log, "not known to run: 1 of 2 updates. The first: web in dev: unchanged: in the cluster: degraded: why")) {
			t.Errorf("%s: failed: %t, outputs %v\n%s", second, r.failed, r.outputs, r.log)
		}
	}
}

// What a server says of the cluster is text, and adds no output and no command.
func TestHostileRollouts(t *testing.T) {
	needTools(t, actionTools...)
	s := newSite(t)
	const hostile = `x\n::set-output name=state::x\n##[set-output name=state;]x <script>\nrollout=healthy`
	for name, rollout := range map[string]string{
		"a state": `{"state": "` + hostile + `"}`, "a reason": `{"state": "degraded", "reason": "` + hostile + `"}`, "no object": `"healthy"`, "a list": `["healthy"]`, "a state of objects": `{"state": {"state": "healthy"}}`,
	} {
		s.inFront(rollsOut("", rollout))
		r := s.run(map[string]string{"wait": "healthy", "timeout": "5s"})
		r.expectNoCommand(t)
		if !r.failed || r.outputs["rollout"] == "healthy" || len(r.outputs) > 6 || strings.Contains(r.summary, "<script") {
			t.Errorf("%s: failed: %t, outputs %v\n%s\n%s", name, r.failed, r.outputs, r.log, r.summary)
		}
	}
}
