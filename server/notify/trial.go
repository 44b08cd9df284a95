package notify

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Try sends a notifier's receiver one message of [KindTest], which says that nothing happened
// and shows what the template makes of a made-up update, and returns how long the receiver
// took. Its error is the receiver's.
func Try(ctx context.Context, n Notifier, now func() time.Time) (took time.Duration, err error) {
	began := now()
	m := Message{
		Version: Version, ID: "msg_test_" + rand.Text(), Notifier: n.Name, Kind: KindTest, At: began,
		Title: fmt.Sprintf("tallyman tests the notifier %s: nothing happened", n.Name),
	}
	sample := m
	sample.Update = &Update{
		ID: "00000000-0000-8000-8000-000000000000", Environment: "prod", App: "myshop-api", Tag: "1.4.0", State: gitops.Failed, Code: gitops.Rejected,
		Reason: "a reason would stand here", Actor: "who ordered it",
	}
	m.Text = "[test] " + n.Text.of(sample)
	ctx, cancel := context.WithTimeout(ctx, SendTime)
	defer cancel()
	err = n.Receiver.Send(ctx, m)
	return now().Sub(began), err
}
