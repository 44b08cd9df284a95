package sns_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/webhook/sns"
	"github.com/tallyman-dev/tallyman/server/webhook/sns/snstest"
)

func TestConfirmation(t *testing.T) {
	for _, name := range []string{"subscription.v1.json", "subscription.v2.json"} {
		r, a := setUp(t)
		body := fixture(t, name)
		if err := r.Authenticate(nil, body); err != nil {
			t.Fatal(err)
		}
		event, err := r.Decode(nil, body)
		if err != nil || event.Delivery.ID != "165545c9-2a5c-472c-8df2-7ff2be2b3b1b" || !strings.Contains(event.IgnoreReason, "was confirmed") {
			t.Errorf("%+v, %v", event, err)
		}
		asked := a.Asked()
		if len(asked) != 2 || !strings.HasPrefix(asked[1], "https://"+host+"/?Action=ConfirmSubscription&Token=2336412f37fb687f5d51e6e2") ||
			!strings.HasSuffix(asked[1], "&TopicArn=arn%3Aaws%3Asns%3Aeu-central-1%3A123456789000%3Aecr-events") {
			t.Errorf("asked %q", asked)
		}
		for _, status := range []int{302, 400, 500} {
			a.Answer(status, nil)
			if event, err = r.Decode(nil, body); gitops.CodeOf(err) != gitops.Unavailable || strings.Contains(err.Error(), "2336412f") {
				t.Errorf("answered %d: %+v, %v", status, event, err)
			}
		}
		a.Answer(0, errors.New("no route to host"))
		if _, err = r.Decode(nil, body); gitops.CodeOf(err) != gitops.Unavailable || strings.Contains(err.Error(), "2336412f") {
			t.Errorf("SNS away: %v", err)
		}
	}
}

// What was not recorded, signed with a key of our own.
func TestMessagesOfOurOwnMaking(t *testing.T) {
	a := snstest.New(t)
	r, _ := setUp(t, func(c *sns.Config) { c.Client.Transport = a })
	note := func(id, text string) []byte { return a.Notify("2", id, text, now()) }
	for name, c := range map[string]struct {
		body    []byte
		nothing string
		field   string // of a body that is Invalid
	}{
		"with a subject": {a.Sign("1", now(), map[string]string{"Type": "Notification", "MessageId": "m1", "Subject": "a\nb",
			"Message": `{"id": "1", "source": "aws.ecr", "detail-type": "ECR Image Scan"}`}), "is not an ECR Image Action", ""},
		"an ending": {a.Sign("2", now(), map[string]string{"Type": "UnsubscribeConfirmation", "MessageId": "m3", "Message": "bye",
			"SubscribeURL": "https://evil.example", "Token": "t"}), "was ended by somebody", ""},
		"just words":       {note("m4", "Hello world!"), "", "Message"},
		"an event's no id": {note("m5", `{"source": "aws.ecr", "detail-type": "ECR Image Action"}`), "", "Message.id"},
		"another's event":  {note("m5", "{}"), "", "Message"},
		"a bad id":         {note("m\n6", "{}"), "", "MessageId"},
		"no token": {a.Sign("2", now(), map[string]string{"Type": "SubscriptionConfirmation", "MessageId": "m7", "Message": "",
			"SubscribeURL": "", "Token": ""}), "", "Token"},
	} {
		if err := r.Authenticate(nil, c.body); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		event, err := r.Decode(nil, c.body)
		var e *gitops.Error
		if c.field != "" {
			if !errors.As(err, &e) || e.Code != gitops.Invalid || e.Field != c.field {
				t.Errorf("%s: %+v, %v", name, event, err)
			}
			continue
		}
		if err != nil || !strings.Contains(event.IgnoreReason, c.nothing) || event.Delivery.Source != "sns" {
			t.Errorf("%s: %+v, %v", name, event, err)
		}
	}
	if n := len(a.Asked()); n != 1 {
		t.Errorf("asked SNS %d times: %q", n, a.Asked())
	}
}
