package gitops_test

import (
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
)

var longHost = strings.Repeat("a.", 126) + "a"

func TestPrincipal(t *testing.T) {
	for _, c := range []struct {
		principal gitops.Principal
		kind      gitops.PrincipalKind
		id, actor string
	}{
		{gitops.Principal{}, "", "", ""},
		{gitops.Principal{Push: &gitops.PushSource{Source: "sns", Account: "123456789012", Region: "eu-west-1"}}, gitops.KindPush, "push:sns/123456789012", "aws:123456789012"},
		{gitops.Principal{Dispatch: &gitops.DispatchSender{Repository: "o/r", RepositoryID: 17, Sender: "ann", SenderID: 3}}, gitops.KindDispatch, "dispatch:17", "github:ann"},
		{gitops.Principal{Dispatch: &gitops.DispatchSender{RepositoryID: 17, Sender: "a\nb", SenderID: 3}}, gitops.KindDispatch, "dispatch:17", "user:3"},
		{gitops.Principal{Dispatch: &gitops.DispatchSender{RepositoryID: 17, Sender: "3", SenderID: 9}}, gitops.KindDispatch, "dispatch:17", "github:3"},
		{gitops.Principal{Dispatch: &gitops.DispatchSender{RepositoryID: 17}}, gitops.KindDispatch, "dispatch:17", "repository:17"},
		{gitops.Principal{Job: &gitops.Job{Issuer: "https://i", Repository: "o/r", RepositoryID: "17", Actor: "ann"}}, gitops.KindJob, "job:17@https://i", "github:ann@o/r"},
		{gitops.Principal{Job: &gitops.Job{Issuer: "https://i", Repository: "o/r", RepositoryID: "17"}}, gitops.KindJob, "job:17@https://i", "repository:17"},
		{gitops.Principal{Token: "ops"}, gitops.KindToken, "token:ops", "token:ops"},
		{gitops.Principal{Poll: "ghcr.io"}, gitops.KindPoll, "poll:ghcr.io", "registry:ghcr.io"},
		{gitops.Principal{Poll: "registry.example:5000"}, gitops.KindPoll, "poll:registry.example:5000", "registry:registry.example:5000"},
		{gitops.Principal{Poll: longHost}, gitops.KindPoll, "poll:" + longHost, "registry"}, // its name is as long as one may be
		{gitops.Principal{Revert: true}, gitops.KindRevert, "revert:tallyman", "tallyman:revert"},
	} {
		p := c.principal
		if p.Kind() != c.kind || p.ID() != c.id || p.Actor() != c.actor {
			t.Errorf("%+v: kind %q, id %q, actor %q", c, p.Kind(), p.ID(), p.Actor())
		}
		if c.actor != "" && gitops.CheckActor("", p.Actor()) != nil {
			t.Errorf("%q cannot stand in a trailer", p.Actor())
		}
	}
}

// What tallyman does by itself no person asked for.
func TestTallymanIsNoPerson(t *testing.T) {
	for _, p := range []gitops.Principal{{Poll: "ghcr.io"}, {Revert: true}} {
		if gitops.IsPerson(p.ID()) {
			t.Errorf("%s passes for a person", p.ID())
		}
	}
}

// A login that says it is a token stays a login.
func TestActorsOfTwoKindsDiffer(t *testing.T) {
	login := gitops.Principal{Dispatch: &gitops.DispatchSender{Sender: "token:ops", SenderID: 9}}
	if got := login.Actor(); strings.HasPrefix(got, "token:") {
		t.Errorf("a sender passes for %s", got)
	}
}
