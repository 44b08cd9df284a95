package main

import (
	"context"
	"fmt"
	"io"
)

// playMore shows what takes several steps.
func (d *demo) playMore(ctx context.Context, out io.Writer) error {
	for i, s := range []struct {
		title string
		play  func(ctx context.Context, out io.Writer) error
	}{
		{"prod is written by pull requests: 1.4.0 is proposed, reviewed and merged", d.review},
		{"A person orders an image a moment before it is pushed", d.orderLate},
		{"Argo CD never heard of that push: it is asked to look, and the update is followed until it runs", d.runs},
		{"The cluster refuses a release in dev: tallyman goes back by itself", d.goBackByItself},
		{"1.4.0 loses orders: a person stops prod, and goes back", d.goBack},
	} {
		fmt.Fprintf(out, "\n%d. %s\n", len(d.scenes())+i+1, s.title)
		if err := s.play(ctx, out); err != nil {
			return err
		}
	}
	return nil
}

// goBack plays somebody who is on call.
func (d *demo) goBack(ctx context.Context, out io.Writer) error {
	err := d.run(ctx, out, [][]string{
		{"stop", "--env", "prod", "--reason", "incident-4711"},
		{"update", "myshop-api", "1.4.0", "--env", "prod"},
		{"resume", "--env", "prod"},
		{"rollback", "myshop-api", "--env", "prod", "--reason", "incident-4711"},
	})
	if err != nil {
		return err
	}
	return d.merge(ctx, out)
}
