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
	for _, ms := range []int{0, 1, 999, 1000, 1001, 2000, 2500, 3000} {
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
	const text = `SELECT late(known, given.event, given.receipt, $5), (after).event, (after).receipt
		FROM (SELECT ($1::timestamptz, $2::timestamptz, NULL)::app_state AS known, CASE WHEN $3::timestamptz < $4::timestamptz THEN $3 END AS event, $4 AS receipt) AS given
		CROSS JOIN LATERAL (SELECT after_arrival(known, ('id', 'dev', 'api', 'v1', '', given.event, given.receipt, $5::boolean, false, NULL)::arrival) AS after) AS judged`
	for range 3000 {
		head := gitops.Head{NewestEvent: pick(), NewestReceipt: pick()}
		moment := gitops.EventMoment{Event: pick(), Receipt: moments[1+random.IntN(len(moments)-1)], Recovered: random.IntN(2) == 0}
		newest, isLate := head.Late(moment)
		after := head
		if !isLate {
			after = head.Accept(moment)
		}
		var late, event, receipt *time.Time
		args := []any{optional(head.NewestEvent), optional(head.NewestReceipt), optional(moment.Event), moment.Receipt, moment.Recovered}
		if err := conn.QueryRow(t.Context(), text, args...).Scan(&late, &event, &receipt); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			what string
			got  *time.Time
			want time.Time
		}{{"late", late, newest}, {"event", event, after.NewestEvent}, {"receipt", receipt, after.NewestReceipt}} {
			if (c.got == nil) != c.want.IsZero() || c.got != nil && !c.got.Equal(c.want) {
				t.Fatalf("seed %d: %s of %+v after %+v is %v; want %v", seed, c.what, head, moment, c.got, c.want)
			}
		}
	}
}
