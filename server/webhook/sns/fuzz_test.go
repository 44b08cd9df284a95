package sns_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/webhook/sns"
)

func FuzzAuthenticate(f *testing.F) {
	for _, name := range []string{"notification.v1.json", "subscription.v2.json", "sns_notification.docs.json"} {
		f.Add(fixture(f, name))
	}
	r, _ := setUp(f)
	signed := map[string]bool{}
	for _, name := range []string{"notification.v1.json", "notification.v2.json", "subscription.v1.json", "subscription.v2.json"} {
		var m struct{ Signature string }
		if err := json.Unmarshal(fixture(f, name), &m); err != nil {
			f.Fatal(err)
		}
		signed[m.Signature] = true
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		err := r.Authenticate(http.Header{}, body)
		if err != nil {
			if code := gitops.CodeOf(err); code != gitops.Unauthorized && code != gitops.Forbidden {
				t.Errorf("told %v", err)
			}
			return
		}
		var m struct{ Signature string }
		if json.Unmarshal(body, &m) != nil || !signed[m.Signature] {
			t.Errorf("accepted: %s", body)
		}
	})
}

func FuzzDecode(f *testing.F) {
	for _, name := range []string{"notification.v1.json", "subscription.v2.json", "sns_unsubscribe_confirmation.docs.json"} {
		f.Add(fixture(f, name))
	}
	r, _ := setUp(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		event, err := r.Decode(http.Header{}, body)
		if err != nil {
			if code := gitops.CodeOf(err); code != gitops.Invalid && code != gitops.Unauthorized && code != gitops.Forbidden {
				t.Errorf("the error is %v", err)
			}
			return
		}
		if (event.Push != nil) == (event.IgnoreReason != "") || event.Orders != nil || event.Delivery.Source != sns.Source || gitops.CheckDeliveryID("", event.Delivery.ID) != nil {
			t.Errorf("%+v is not one thing", event)
		}
	})
}
