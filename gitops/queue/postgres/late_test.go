package postgres_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// TestLateAgreesWithTheHead compares the functions late and after_arrival with
// gitops.Head, over times that are zero, equal, of one second, and in the future.
func TestLateAgreesWithTheHead(t *testing.T) {
	a := schema(t)
	open(t, a)
	conn := connect(t, a)
	base := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	moments := []time.Time{{}}
	for _, ms := range []int{0, 1, 999, 1000, 1001, 2000, 2500, 3000, 61_000, 61_001, 62_000} {
		moments = append(moments, base.Add(time.Duration(ms)*time.Millisecond))
	}
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	pick := func() time.Time { return moments[random.IntN(len(moments))] }
	optional := func(at time.Time) *time.Time {
		if at.IsZero() {
			return nil
		}
		return &at
	}
	version := func() string { return gitops.VersionKey([]string{"main", "1.2.0", "1.10.0"}[random.IntN(3)]) }
	const text = `SELECT late(known, a), (after).event, (after).receipt, (after).order_event, (after).order_receipt, (after).pushed_event, (after).word, (after).pushed_version, (after).accepted_version
		FROM (SELECT ($1::timestamptz, $2::timestamptz, $3::timestamptz, $4::timestamptz, $5, $6::timestamptz, $12::timestamptz, $15, NULL)::app_state AS known,
			('id', 'dev', 'api', 'v1', $11, CASE WHEN $7::timestamptz < $8::timestamptz THEN $7 END, $8, $13::timestamptz, $14::boolean, $9::boolean, $10::boolean, NULL)::arrival AS a) AS given
		CROSS JOIN LATERAL (SELECT after_arrival(known, a) AS after) AS judged`
	for range 6000 {
		head := gitops.Head{NewestEvent: pick(), NewestReceipt: pick(), OrderEvent: pick(), OrderReceipt: pick(), PushedVersion: version(), PushedEvent: pick(), Word: pick(), AcceptedVersion: version()}
		moment := gitops.EventMoment{Event: pick(), Receipt: moments[1+random.IntN(len(moments)-1)], Recovered: random.IntN(2) == 0, OnlyUp: random.IntN(2) == 0, Version: version(), Person: random.IntN(2) == 0}
		moment.Accepted = moment.Receipt.Add(time.Duration(random.IntN(2)) * time.Minute)
		newest, isLate := head.Late(moment)
		after := head.AcceptSuperseded(moment)
		if !isLate {
			after = head.Accept(moment)
		}
		var late, event, receipt, orderEvent, orderReceipt, pushedEvent, word *time.Time
		var pushed, accepted string
		args := []any{optional(head.NewestEvent), optional(head.NewestReceipt), optional(head.OrderEvent), optional(head.OrderReceipt), head.PushedVersion, optional(head.PushedEvent),
			optional(moment.Event), moment.Receipt, moment.Recovered, moment.OnlyUp, moment.Version,
			optional(head.Word), moment.Accepted, moment.Person, head.AcceptedVersion}
		if err := conn.QueryRow(t.Context(), text, args...).Scan(&late, &event, &receipt, &orderEvent, &orderReceipt, &pushedEvent, &word, &pushed, &accepted); err != nil {
			t.Fatal(err)
		}
		if pushed != after.PushedVersion || accepted != after.AcceptedVersion {
			t.Fatalf("seed %d: the versions of %+v after %+v are %q and %q; want %q and %q", seed, head, moment, pushed, accepted, after.PushedVersion, after.AcceptedVersion)
		}
		for _, c := range []struct {
			what string
			got  *time.Time
			want time.Time
		}{{"late", late, newest}, {"event", event, after.NewestEvent}, {"receipt", receipt, after.NewestReceipt},
			{"order event", orderEvent, after.OrderEvent}, {"order receipt", orderReceipt, after.OrderReceipt}, {"pushed event", pushedEvent, after.PushedEvent}, {"word", word, after.Word}} {
			if (c.got == nil) != c.want.IsZero() || c.got != nil && !c.got.Equal(c.want) {
				t.Fatalf("seed %d: %s of %+v after %+v is %v; want %v", seed, c.what, head, moment, c.got, c.want)
			}
		}
	}
}
