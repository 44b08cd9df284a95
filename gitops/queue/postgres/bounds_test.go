package postgres_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// large is a delivery with as many updates as one may have.
func large(id string) gitops.Delivery {
	d := order(id, "")
	d.Updates = nil
	for i := range queue.MaxUpdates {
		d.Updates = append(d.Updates, gitops.Update{Environment: fmt.Sprintf("env-%d", i%4), App: fmt.Sprintf("app-%d", i), Tag: "v1"})
	}
	return d
}

// TestLargeDeliveriesAtOnce are more updates than one transaction can bring in its time:
// all are accepted, since groups are bounded by updates. On a busy machine a few are to be
// sent again, as senders do.
func TestLargeDeliveriesAtOnce(t *testing.T) {
	s := open(t, schema(t))
	const deliveries = 24
	var calls atomic.Int64
	var all sync.WaitGroup
	for n := range deliveries {
		all.Go(func() {
			again(t, func() error {
				calls.Add(1)
				_, _, err := s.Accept(t.Context(), large(fmt.Sprint(n)))
				return err
			})
		})
	}
	all.Wait()
	if n := calls.Load(); n > deliveries+deliveries/4 {
		t.Errorf("%d deliveries were sent %d times", deliveries, n)
	}
	pending := 0
	backlogs, err := s.Backlogs(t.Context())
	for _, b := range backlogs {
		pending += b.Pending
	}
	if err != nil || pending != deliveries*queue.MaxUpdates {
		t.Errorf("%d updates are pending, %v", pending, err)
	}
}

// TestAcceptDoesNotWaitForPrune has a prune in the middle of its transaction.
func TestAcceptDoesNotWaitForPrune(t *testing.T) {
	a := schema(t)
	s := open(t, a)
	accept(t, s, order("1", "api"))
	execute(t, a, `UPDATE updates SET state = 'committed', finished_at = accepted_at`)
	pruning := connect(t, a)
	if _, err := pruning.Exec(t.Context(), `BEGIN`); err != nil {
		t.Fatal(err)
	}
	var gone int
	if err := pruning.QueryRow(t.Context(), `SELECT prune('{1}', now() + interval '1 hour', now())`).Scan(&gone); err != nil || gone != 1 {
		t.Fatalf("forgot %d, %v", gone, err)
	}
	accept(t, s, order("2", "api"))
	if _, err := pruning.Exec(t.Context(), `ROLLBACK`); err != nil {
		t.Fatal(err)
	}
}

// TestPruneIsBoundedByUpdates forgets a large delivery in a transaction of its own, and
// small ones together.
func TestPruneIsBoundedByUpdates(t *testing.T) {
	a := schema(t)
	s := open(t, a)
	for _, d := range []gitops.Delivery{order("1", "api"), order("2", "api"), large("3"), order("4", "api")} {
		accept(t, s, d)
	}
	execute(t, a, `UPDATE updates SET state = 'committed', finished_at = accepted_at`)
	// A transaction's deliveries are told apart by who deleted them.
	execute(t, a, `CREATE TABLE deleted (number bigint, by xid8);
		CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO deleted VALUES (OLD.number, pg_current_xact_id()); RETURN OLD; END';
		CREATE TRIGGER note BEFORE DELETE ON deliveries FOR EACH ROW EXECUTE FUNCTION note()`)
	if n, err := s.Prune(t.Context(), time.Now().Add(time.Hour), 10); err != nil || n != 4 {
		t.Fatalf("forgot %d, %v", n, err)
	}
	var together [][]int64
	const groups = `SELECT json_agg(numbers ORDER BY numbers[1]) FROM (SELECT array_agg(number ORDER BY number) AS numbers FROM deleted GROUP BY by) AS each`
	if err := connect(t, a).QueryRow(t.Context(), groups).Scan(&together); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(together) != "[[1 2] [3] [4]]" {
		t.Errorf("forgotten together were %v", together)
	}
}

// TestSchemasDoNotWakeEachOther has two stores in one database.
func TestSchemasDoNotWakeEachOther(t *testing.T) {
	a, b := schema(t), schema(t)
	first, replica, other := open(t, a), open(t, a), open(t, b)
	wake, changed := replica.Wake("dev"), other.Changed()
	accept(t, first, order("1", "api"))
	<-wake
	// What is notified later is heard later.
	execute(t, b, `SELECT pg_notify('`+other.Channel()+`', 'end')`)
	select {
	case <-other.Wake("end"):
	case <-time.After(20 * time.Second):
		t.Fatal("no hint")
	}
	select {
	case <-other.Wake("dev"):
		t.Error("a store is woken by the other schema's")
	default:
	}
	<-changed // of the notification above
}

// TestPagesAreBoundedByUpdates has a page of each kind end before its limit, and
// nothing left out.
func TestPagesAreBoundedByUpdates(t *testing.T) {
	s := open(t, schema(t))
	var ids []string
	for _, d := range []gitops.Delivery{large("1"), large("2"), large("3"), order("4", "api")} {
		ids = append(ids, accept(t, s, d).ID)
	}
	page, cursor, err := s.Deliveries(t.Context(), queue.DeliveryFilter{}, queue.Page{Limit: 10})
	if err != nil || len(page) != 3 || cursor == "" {
		t.Errorf("the first page has %d deliveries and the cursor %q, %v", len(page), cursor, err)
	}
	page, cursor, err = s.Deliveries(t.Context(), queue.DeliveryFilter{}, queue.Page{Limit: 10, Cursor: cursor})
	if err != nil || len(page) != 1 || cursor != "" || page[0].ID != "1" || len(page[0].Updates) != queue.MaxUpdates {
		t.Errorf("the last page has %d deliveries and the cursor %q, %v", len(page), cursor, err)
	}
	changes, err := s.Changes(t.Context(), "", 10)
	if err != nil || len(changes) != 2 {
		t.Fatalf("%d changes, %v", len(changes), err)
	}
	changes, err = s.Changes(t.Context(), changes[1].Cursor, 10)
	if err != nil || len(changes) != 2 || changes[1].Delivery.ID != "4" {
		t.Errorf("then %d changes, %v", len(changes), err)
	}
	var exported []string
	for e, err := range s.Export(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Delivery != nil {
			exported = append(exported, e.Delivery.ID)
		}
	}
	if !slices.Equal(exported, ids) {
		t.Errorf("exported were %q", exported)
	}
}
