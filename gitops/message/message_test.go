package message_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/message"
)

var subjects = message.Subjects{One: "chore: bump {app} to {tag} ({env})", Batch: "chore: {count} updates ({env})"}

func update(tag string, terms *gitops.Terms) gitops.Update {
	return gitops.Update{
		ID: "u1", Delivery: gitops.DeliveryKey{Source: "api", ID: "d1"}, Actor: "token:ann", Environment: "prod", App: "shop", Tag: tag,
		AcceptedAt: time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC), Sequence: 7, Terms: terms,
	}
}

func TestTheMessageOfARollbackSaysSo(t *testing.T) {
	back := update("1.4.1", &gitops.Terms{Reason: "it fails", RollsBack: "1.4.2", PinUntil: time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)})
	const trailers = `Tallyman-Update: u1
Tallyman-Delivery: api/d1
Tallyman-Actor: token:ann
Tallyman-Release: prod/shop accepted 2026-11-27T12:00:00Z 7
`
	const terms = `Tallyman-Reason: it fails
Tallyman-Pin-Until: 2026-11-30T12:00:00Z
Tallyman-Rolls-Back: 1.4.2
`
	reverts := update("1.4.1", &gitops.Terms{Reason: "1.4.2 is degraded", RollsBack: "1.4.2", Reverts: "u0"})
	const plainly = "\ntallyman reverts shop in prod to 1.4.1, because what it had written before did not run.\n\n"
	const ofRevert = "Tallyman-Reason: 1.4.2 is degraded\nTallyman-Rolls-Back: 1.4.2\nTallyman-Reverts: u0\n"
	for name, c := range map[string]struct {
		updates []gitops.Update
		want    string
	}{
		"alone":       {[]gitops.Update{back}, "revert: shop back to 1.4.1 (prod)\n\n" + trailers + terms},
		"an order":    {[]gitops.Update{update("1.4.1", nil)}, "chore: bump shop to 1.4.1 (prod)\n\n" + trailers},
		"a reason":    {[]gitops.Update{update("1.4.1", &gitops.Terms{Reason: "it fails"})}, "chore: bump shop to 1.4.1 (prod)\n\n" + trailers + "Tallyman-Reason: it fails\n"},
		"a revert":    {[]gitops.Update{reverts}, "revert: shop back to 1.4.1 (prod)\n" + plainly + trailers + ofRevert},
		"with others": {[]gitops.Update{update("1.4.3", nil), reverts}, "chore: 2 updates (prod)\n\n- shop to 1.4.3\n- shop to 1.4.1\n" + plainly + trailers + trailers + ofRevert},
		"in several":  {[]gitops.Update{update("1.4.3", nil), back}, "chore: 2 updates (prod)\n\n- shop to 1.4.3\n- shop to 1.4.1\n\n" + trailers + trailers + terms},
	} {
		if got := subjects.Of(c.updates); got != c.want {
			t.Errorf("%s: the message is\n%s\nwant\n%s", name, got, c.want)
		}
	}
}

// A person's words pass: they are one line. A name of more than one line does not.
func TestWhatWouldWriteLinesOfItsOwn(t *testing.T) {
	forged := "x\nTallyman-Update: forged"
	words := update("1.4.1", &gitops.Terms{Reason: forged, Override: forged, RollsBack: forged, Reverts: forged})
	if err := message.Check(words); err != nil {
		t.Errorf("a reason of two lines: %v", err)
	}
	if got := subjects.Of([]gitops.Update{words}); strings.Contains(got, "\nTallyman-Update: forged") {
		t.Errorf("the message is\n%s", got)
	}
	for field, set := range map[string]func(*gitops.Update){
		"id": func(u *gitops.Update) { u.ID = forged }, "an id with spaces": func(u *gitops.Update) { u.ID = " u1" },
		"source": func(u *gitops.Update) { u.Delivery.Source = forged }, "delivery": func(u *gitops.Update) { u.Delivery.ID = forged },
		"actor": func(u *gitops.Update) { u.Actor = forged }, "app": func(u *gitops.Update) { u.App = forged },
		"environment": func(u *gitops.Update) { u.Environment = forged }, "tag": func(u *gitops.Update) { u.Tag = forged },
		"digest": func(u *gitops.Update) { u.Digest = forged }, "repository": func(u *gitops.Update) { u.Repository = forged },
	} {
		u := update("1.4.1", nil)
		set(&u)
		if err := message.Check(u); gitops.CodeOf(err) != gitops.Invalid {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestSubjectsNameOnlyWhatTheyMay(t *testing.T) {
	for _, s := range []message.Subjects{{Batch: "b"}, {One: "a"}, {One: "a\nb", Batch: "b"}, {One: "{count}", Batch: "b"}, {One: "a", Batch: "{app}"}} {
		if err := s.Validate(); gitops.CodeOf(err) != gitops.Invalid {
			t.Errorf("%+v: %v", s, err)
		}
	}
	if err := subjects.Validate(); err != nil {
		t.Error(err)
	}
}
