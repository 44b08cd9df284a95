package main

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/server/api"
)

// undo pastes what an answer gives as its undo into a shell, whose tallyman is the test's,
// and returns the answer to the last command.
func undo(t *testing.T, answer string) (out string) {
	t.Helper()
	var of struct {
		Undo   string
		Lifted []struct{ Undo string }
	}
	if err := json.Unmarshal([]byte(answer), &of); err != nil {
		t.Fatalf("%v: %s", err, answer)
	}
	if len(of.Lifted) > 0 {
		of.Undo = of.Lifted[0].Undo
	}
	words, err := exec.Command("sh", "-c", `tallyman() { printf '%s\n' "$@"; echo; }; `+of.Undo).Output()
	if err != nil || len(words) == 0 {
		t.Fatalf("%q: %v", of.Undo, err)
	}
	for command := range strings.SplitSeq(strings.TrimSuffix(string(words), "\n\n"), "\n\n") {
		out = acted(t, strings.Split(command, "\n")...)
	}
	return out
}

// acted runs a command that must be carried out, and returns its answer.
func acted(t *testing.T, args ...string) string {
	t.Helper()
	out, failure, exit := ran(t, append(args, "--json")...)
	if exit != 0 {
		t.Fatalf("tallyman %s: exit %d: %s", strings.Join(args, " "), exit, failure)
	}
	return out
}

// What each act's answer says undoes it does, and undoes nothing else.
func TestUndoOfEachAct(t *testing.T) {
	s := newSite(t, 1)
	ctx := deadline(t)
	c, base, _ := s.start(ctx)
	s.commandLine(base)
	in := func(kind string) (ids []string) {
		var list api.HoldList
		s.must(json.Unmarshal([]byte(acted(t, "holds", "--kind", kind)), &list))
		for _, h := range list.Holds {
			ids = append(ids, h.ID)
		}
		return ids
	}
	wants := func(what, kind, want string) {
		t.Helper()
		if got := strings.Join(in(kind), " "); got != want {
			t.Errorf("%s: the holds of kind %s are %q, want %q", what, kind, got, want)
		}
	}
	const prod, reason = "prod", "it's $HOME; `reboot` \"now\""
	stop := acted(t, "stop", "--env", prod, "--reason", "another's") // h1
	second := acted(t, "stop", "--env", prod)                        // h2
	lifted := undo(t, second)
	wants("a stop", "stop", "h1")
	undo(t, lifted)
	wants("a resume", "stop", "h3 h1")
	acted(t, "resume", "h3")
	undo(t, stop)

	acted(t, "mark-bad", "app-00", "main-bad0000", "--env", prod, "--reason", "another's") // h4
	undo(t, acted(t, "mark-bad", "app-00", "main-bad0000", "--reason", reason))
	wants("a bad mark", "bad", "h4")
	undo(t, undo(t, acted(t, "freeze", "--app", "app-00", "--for", "1h", "--reason", reason)))
	wants("a thaw", "freeze", "h7")
	acted(t, "thaw", "h7")

	acted(t, "update", "app-00", "main-1a2b3c4", "--env", prod, "--wait")
	acted(t, "update", "app-00", "main-1a2b3c5", "--env", prod, "--wait")
	acted(t, "pin", "app-00", "main-1a2b3c5", "--env", prod, "--for", "2h", "--reason", reason) // h8
	back := acted(t, "rollback", "app-00", "--env", prod, "--reason", reason)                   // h9 and h10
	acted(t, "update", "app-00", "main-1a2b3c6", "--env", prod, "--or-hold")
	undo(t, back)
	wants("a rollback past a pin", "pin", "h11")
	wants("a rollback", "bad", "h4")
	why := acted(t, "why", "app-00", "--env", prod)
	if !strings.Contains(why, `"branch": "main-1a2b3c5"`) {
		t.Errorf("what was left is not back: %s", why)
	}
	acted(t, "unpin", "app-00", "--env", prod)

	left := acted(t, "update", "app-00", "main-1a2b3c7", "--env", prod, "--wait")
	back = acted(t, "rollback", "app-00", "--env", prod, "--to", "main-1a2b3c4", "--reason", reason)
	acted(t, "update", "app-00", "main-1a2b3c8", "--env", prod, "--or-hold")
	undo(t, back)
	s.must(c.await(ctx, func(line map[string]any) bool {
		id, _ := line["update"].(string)
		return line["msg"] == "update committed" && line["tag"] == "main-1a2b3c7" && !strings.Contains(left, id)
	}))
	var past api.History
	s.must(json.Unmarshal([]byte(acted(t, "history", "app-00", "--env", prod)), &past))
	var tags []string
	for _, v := range past.Versions[:3] {
		tags = append(tags, v.Tag)
	}
	if got := strings.Join(tags, " "); got != "main-1a2b3c7 main-1a2b3c4 main-1a2b3c7" {
		t.Errorf("after a rollback and its undo the branch had %s", got)
	}
	s.must(c.stop())
}
