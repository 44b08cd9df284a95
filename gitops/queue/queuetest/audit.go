package queuetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// checkAudit compares the audit with the model's. Entries keep their sequences, and new
// ones have higher ones.
func (s *script) checkAudit() {
	s.t.Helper()
	entries := s.listedAudit(queue.AuditFilter{}, everything)
	var sequences []int64
	for i, e := range entries {
		if i > 0 && e.Sequence >= entries[i-1].Sequence {
			s.t.Fatalf("entry %d comes after entry %d", e.Sequence, entries[i-1].Sequence)
		}
		if e.At.Location() != time.UTC {
			s.t.Fatalf("entry %d: the time is not in UTC", e.Sequence)
		}
		sequences = append(sequences, e.Sequence)
	}
	for i, sequence := range sequences {
		if _, known := slices.BinarySearchFunc(s.audited, sequence, func(a, b int64) int { return int(b - a) }); known || len(s.audited) == 0 {
			break
		}
		if sequence < s.audited[0] {
			s.t.Fatalf("new entry %d, of place %d, is below entry %d", sequence, i, s.audited[0])
		}
	}
	s.audited = sequences
}

func (s *script) listedAudit(f queue.AuditFilter, limit int) []gitops.AuditEntry {
	s.t.Helper()
	got := pages(s, limit, f != queue.AuditFilter{}, func(p queue.Page) ([]gitops.AuditEntry, string, error) {
		return s.q.AuditEntries(s.t.Context(), f, p)
	})
	want, _, err := s.model.AuditEntries(s.t.Context(), f, queue.Page{Limit: everything})
	s.same(fmt.Sprintf("AuditEntries %+v by %d", f, limit), got, nil, want, err)
	return got
}

func (s *script) appendAudit(entries ...gitops.AuditEntry) {
	s.t.Helper()
	s.code("AppendAudit", s.q.AppendAudit(s.t.Context(), entries), "")
	s.code("AppendAudit of the model", s.model.AppendAudit(s.t.Context(), entries), "")
	s.check()
}

// everyOrderAndDecision counts entries: one for each update that was accepted, however
// it ended, and one for each decision that changed something.
func everyOrderAndDecision(s *script) {
	count := func(want int, what string) {
		s.t.Helper()
		if got := len(s.listedAudit(queue.AuditFilter{}, everything)); got != want {
			s.t.Fatalf("%s: the audit has %d entries; want %d", what, got, want)
		}
	}
	d := s.event(s.clock.Now().Add(-time.Second), "dev/api", "prod/api")
	d.Updates[0].Digest = "sha256:0123"
	accepted := s.accept(d)
	count(2, "two updates")
	s.accept(d)
	count(2, "a duplicate")
	s.accept(s.event(s.clock.Now().Add(-time.Hour), "dev/api"))
	count(3, "an update that was superseded on arrival")
	ignored := s.order()
	ignored.Outcome, ignored.Reason = gitops.OutcomeIgnored, "a ping"
	s.accept(ignored)
	count(3, "a delivery without updates")

	id := accepted.Updates[0].ID
	s.decide(id, gitops.ActionRetry, "") // nothing blocks it
	s.decide("missing", gitops.ActionRetry, "")
	count(3, "decisions that are refused")
	s.decide(id, gitops.ActionCancel, "no")
	s.decide(id, gitops.ActionCancel, "no")
	count(4, "a cancellation, asked for twice")
	s.transit(s.one("one", "dev"), failed(accepted.Updates[0]))
	count(4, "a report")
	s.decide(id, gitops.ActionDismiss, "done by hand")
	count(5, "a dismissal")
	s.crash()

	want := gitops.AuditEntry{
		At: s.clock.Now(), Act: gitops.ActOrder, Principal: d.Principal, Actor: "octocat", Credential: "webhook secret", Remote: "192.0.2.7",
		Right: gitops.RightOrder, Rule: d.Updates[0].Rule, Environment: "dev", App: "api", Update: id, Delivery: d.Key().String(),
		After: d.Updates[0].Tag + "@sha256:0123", Config: "c0ffee",
	}
	all := s.listedAudit(queue.AuditFilter{}, everything)
	s.same("the order's entry", all[4], nil, want, nil)
	want = gitops.AuditEntry{
		At: s.clock.Now(), Act: gitops.ActDismiss, Principal: "token:ann", Actor: "ann", Credential: "token ann", Remote: "192.0.2.8",
		Right: gitops.RightCancel, Rule: "access[1]", Environment: "dev", App: "api", Update: id, Delivery: d.Key().String(),
		Reason: "done by hand", Before: "failed", After: "cancelled", Config: "c0ffee",
	}
	s.same("the decision's entry", all[0], nil, want, nil)
}

// appended are entries of what is in no other table.
func appended(s *script) {
	s.appendAudit()
	s.appendAudit(
		gitops.AuditEntry{Act: gitops.ActConfig, Before: "a1", After: "b2", Reason: "access, environments"},
		gitops.AuditEntry{
			At: s.clock.Now().Add(-time.Minute), Act: gitops.ActRefuse, Principal: "token:ci", Actor: "token:ci", Credential: "token ci", Remote: "::1",
			Right: gitops.RightRetry, Rule: "access[3]", Environment: "prod", App: "api", Update: "not an id'; --", Delivery: "github/1", Reason: "no rule", Config: "c0ffee",
		},
	)
	s.accept(s.order("dev/api"))
	s.appendAudit(gitops.AuditEntry{Act: gitops.ActSecret, Reason: "sources.github.secretFile"})
	s.reopen()
	s.accept(s.order("dev/api"))
	s.appendAudit(gitops.AuditEntry{Act: gitops.ActSecret})
	s.crash()
	s.appendAudit(gitops.AuditEntry{Act: gitops.ActSecret})
}

// auditFilters asks for each kind of part, in pages.
func auditFilters(s *script) {
	s.variety()
	from := s.clock.Now()
	s.advance(time.Minute)
	s.appendAudit(
		gitops.AuditEntry{Act: gitops.ActRefuse, Principal: "dispatch:1", Actor: "github:eve", Environment: "prod", App: "api"},
		gitops.AuditEntry{Act: gitops.ActRefuse, Principal: "token:x", Actor: "token:x", Environment: "dev"},
		gitops.AuditEntry{Act: gitops.ActConfig},
	)
	until := s.clock.Now()
	s.advance(time.Minute)
	s.decide(s.accept(s.order("dev/api")).Updates[0].ID, gitops.ActionCancel, "")
	for _, limit := range []int{1, 3, everything} {
		for _, f := range []queue.AuditFilter{
			{Environment: "dev"}, {App: "api"}, {Environment: "prod", App: "api"}, {Environment: "nowhere"}, {App: "missing"},
			{Principal: "dispatch:1"}, {Principal: "missing"}, {Actor: "ann"}, {Actor: "octocat", Environment: "dev"},
			{Act: gitops.ActOrder}, {Act: gitops.ActCancel}, {Act: gitops.ActConfig}, {Act: "nothing"},
			{Since: from}, {Since: until}, {Until: from}, {Until: until}, {Since: from.Add(time.Second), Until: until}, {Until: began}, {Since: until.Add(time.Hour)},
		} {
			s.listedAudit(f, limit)
			for _, within := range scopes {
				if limit == 1 { // pages of three end in as many places
					break
				}
				f.Within = within
				s.listedAudit(f, limit)
			}
		}
	}
}

// scopes are of readers who may see less than everything.
var scopes = []*queue.Scope{
	{}, {Principal: "dispatch:1"}, {Principal: "missing"}, {Areas: []queue.Area{{}}},
	{Areas: []queue.Area{{Environment: "dev"}}}, {Areas: []queue.Area{{App: "api"}, {Environment: "staging", App: "db"}}},
	{Principal: "dispatch:2", Areas: []queue.Area{{Environment: "prod", App: "api"}, {Environment: "prod"}}},
	{Areas: []queue.Area{{}, {Environment: "dev"}, {App: "api"}, {Environment: "dev", App: "api"}}}, // what is in several counts once
}

// auditOutlivesDeliveries prunes what the entries are of, and later the entries.
func auditOutlivesDeliveries(s *script) {
	first := s.accept(s.order("dev/api", "dev/web"))
	s.appendAudit(gitops.AuditEntry{Act: gitops.ActConfig})
	s.transit(s.one("one", "dev"), committed(first.Updates[0]), failed(first.Updates[1]))
	before := s.listedAudit(queue.AuditFilter{}, everything)
	s.advance(time.Hour)
	s.accept(s.order("dev/api"))
	s.prune(s.clock.Now(), 100)
	after := s.listedAudit(queue.AuditFilter{}, everything)[1:]
	s.same("the audit after Prune", after, nil, before, nil)
	for i := range after {
		if after[i].Sequence != before[i].Sequence {
			s.t.Fatalf("Prune gave entry %d the sequence %d", before[i].Sequence, after[i].Sequence)
		}
	}
	s.reopen()
	for _, limit := range []int{1, 2} {
		s.listedAudit(queue.AuditFilter{Environment: "dev", App: "api"}, limit)
		s.listedAudit(queue.AuditFilter{Within: &queue.Scope{Principal: first.Principal}}, limit)
	}
	s.advance(queue.MemoryFor - time.Hour)
	s.prune(s.clock.Now(), 100)
	if got := len(s.listedAudit(queue.AuditFilter{}, everything)); got != 4 {
		s.t.Fatalf("after 400 days less nothing, %d entries are left; want 4", got)
	}
	s.advance(time.Microsecond)
	s.prune(s.clock.Now(), 100)
	if got := s.listedAudit(queue.AuditFilter{}, everything); len(got) != 1 {
		s.t.Fatalf("after 400 days %d entries are left; want that of the update that waits", len(got))
	}
	s.crash()
	s.appendAudit(gitops.AuditEntry{Act: gitops.ActSecret})
}

// auditClockSetBack has entries whose times are not in their order.
func auditClockSetBack(s *script) {
	for _, by := range []time.Duration{time.Hour, -30 * time.Minute, 10 * time.Minute, -time.Hour, 3 * time.Hour} {
		s.appendAudit(gitops.AuditEntry{Act: gitops.ActSecret})
		s.accept(s.order("dev/api"))
		s.advance(by)
	}
	for _, at := range []time.Duration{0, 20 * time.Minute, 45 * time.Minute, time.Hour, 4 * time.Hour} {
		for _, limit := range []int{1, everything} {
			s.listedAudit(queue.AuditFilter{Since: began.Add(at)}, limit)
			s.listedAudit(queue.AuditFilter{Until: began.Add(at)}, limit)
		}
	}
}
