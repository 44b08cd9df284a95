package manifest

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// readsTags is a writer whose editor can tell the tag that a file has.
func readsTags(t *testing.T) func(*Config) {
	t.Helper()
	edit, err := values.Compile([]values.Target{{Key: ".image.tag"}})
	if err != nil {
		t.Fatal(err)
	}
	return func(c *Config) {
		c.Target = func(environment, app string) (Target, error) {
			return Target{Files: []FileEdit{{File: testFile(environment, app), Editor: edit}}}, nil
		}
	}
}

// setByHand is a person's commit of a tag.
func (o *origin) setByHand(app, tag string) {
	o.Helper()
	o.commit(gitserver.Change{Message: "fix: pin " + app, Files: map[string]string{testFile("prod", app): valuesFile(app, "prod", tag)}})
}

func (o *origin) pushed(app, tag string) gitops.Update {
	u := o.update("prod", app, tag)
	u.OnlyUp = true
	o.updates[u.ID] = u
	return u
}

// ends are how updates ended: the actions, and the reasons of those superseded.
func ends(settled []gitops.Transition) (ends []string) {
	for _, s := range settled {
		end := string(s.Action)
		if s.Action == gitops.ActionSupersede {
			end += ": " + s.Reason
		}
		ends = append(ends, end)
	}
	return ends
}

const lowerThanByHand = "supersede: 2.0.5 is lower than v2.1.0, which is in charts/shop/values-prod.yaml: " +
	"an image that is pushed does not lower the version of shop in prod. To go down, order it by name: tallyman update shop 2.0.5 --env prod"

// A person's edit counts, which the store does not know of. What a plan has written
// before counts, too: an order goes down, and what was pushed after it goes up from
// there.
func TestAPushDoesNotLowerWhatAPersonWrote(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := o.writer(readsTags(t))
	o.setByHand("shop", "v2.1.0")
	settled := o.write(w, o.pushed("shop", "2.0.5"), o.pushed("shop", "v2.1.0"), o.pushed("shop", "2.1.1"),
		o.update("prod", "shop", "1.0.0"), o.pushed("shop", "1.0.1"), o.pushed("cart", "0.0.1"))
	o.check(settled...)
	if diff := cmp.Diff([]string{lowerThanByHand, "confirm", "commit", "commit", "commit", "commit"}, ends(settled)); diff != "" {
		t.Error(diff)
	}
}

// Without a way to read the tag nothing is compared.
func TestAnEditorThatReadsNoTagComparesNothing(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := o.writer()
	o.setByHand("shop", "v2.1.0")
	settled := o.write(w, o.pushed("shop", "2.0.5"))
	o.check(settled...)
	if diff := cmp.Diff([]string{"commit"}, ends(settled)); diff != "" {
		t.Error(diff)
	}
}

// It is the tip that decides on which the commit lands.
func TestAVersionThatIsRaisedDuringThePushCounts(t *testing.T) {
	overEach(t, func(t *testing.T, newOrigin origins) {
		o := newOrigin(t)
		w := o.writer(readsTags(t))
		hold := o.holdPush(gitserver.Fault{})
		done := writeSoon(t.Context(), w, o.pushed("shop", "2.0.5"), o.pushed("cart", "2.0.5"))
		<-hold.arrived
		o.setByHand("shop", "v2.1.0")
		close(hold.release)
		r := <-done
		if r.err != nil {
			t.Fatal(r.err)
		}
		o.check(r.settled...)
		if diff := cmp.Diff([]string{lowerThanByHand, "commit"}, ends(r.settled)); diff != "" {
			t.Error(diff)
		}
	})
}
