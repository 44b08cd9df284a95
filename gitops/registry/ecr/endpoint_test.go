package ecr_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/registry/ecr"
	"github.com/tallyman-dev/tallyman/gitops/registry/ecr/ecrtest"
)

// transport answers each request with a token, and keeps where it went.
type transport struct{ host, scope string }

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	t.host, t.scope = r.URL.Host, r.Header.Get("Authorization")
	body := `{"authorizationData":[{"authorizationToken":"QVdTOng=","expiresAt":4102444800}]}`
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

// The API is asked in the region and the partition of the registry's host, over the kind of
// endpoint that the host is of, wherever the process runs.
func TestTheAPIIsAskedWhereTheHostIs(t *testing.T) {
	fake := ecrtest.New(t)
	fake.UseKeys(t)
	t.Setenv("AWS_ENDPOINT_URL_ECR", "")
	t.Setenv("AWS_REGION", "ap-southeast-2")
	seen := &transport{}
	client := ecr.New(ecr.Config{HTTP: &http.Client{Transport: seen}})
	for host, want := range map[string][2]string{
		"dkr.ecr.eu-west-1.amazonaws.com":                    {"api.ecr.eu-west-1.amazonaws.com", "eu-west-1"},
		"dkr.ecr-fips.us-east-1.amazonaws.com":               {"api.ecr-fips.us-east-1.amazonaws.com", "us-east-1"},
		"dkr-ecr.eu-west-1.on.aws":                           {"ecr.eu-west-1.api.aws", "eu-west-1"},
		"dkr-ecr-fips.us-west-2.on.aws":                      {"ecr-fips.us-west-2.api.aws", "us-west-2"},
		"dkr.ecr.us-gov-west-1.amazonaws.com":                {"api.ecr.us-gov-west-1.amazonaws.com", "us-gov-west-1"},
		"dkr.ecr-fips.us-gov-east-1.amazonaws.com":           {"api.ecr-fips.us-gov-east-1.amazonaws.com", "us-gov-east-1"},
		"dkr.ecr.cn-north-1.amazonaws.com.cn":                {"api.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1"},
		"dkr-ecr.cn-northwest-1.on.amazonwebservices.com.cn": {"ecr.cn-northwest-1.api.amazonwebservices.com.cn", "cn-northwest-1"},
		"dkr.ecr.eusc-de-east-1.amazonaws.eu":                {"api.ecr.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1"},
		"dkr.ecr.us-iso-east-1.c2s.ic.gov":                   {"api.ecr.us-iso-east-1.c2s.ic.gov", "us-iso-east-1"},
		"dkr.ecr.us-isob-east-1.sc2s.sgov.gov":               {"api.ecr.us-isob-east-1.sc2s.sgov.gov", "us-isob-east-1"},
	} {
		user, secret, err := client.Credentials(t.Context(), account+"."+host, false)
		if err != nil || user != "AWS" || secret != "x" || seen.host != want[0] || !strings.Contains(seen.scope, "/"+want[1]+"/ecr/aws4_request") {
			t.Errorf("%s: asked %s as %s, want %s: %v", host, seen.host, seen.scope, want, err)
		}
	}
}

// An answer without a password is AWS's fault, and gives none.
func TestAnAnswerWithoutAPassword(t *testing.T) {
	fake := ecrtest.New(t)
	fake.UseKeys(t)
	for _, body := range []string{
		`{}`, `{"authorizationData":[]}`, `{"authorizationData":[{}]}`, `not JSON`,
		`{"authorizationData":[{"authorizationToken":"%","expiresAt":4102444800}]}`,
		`{"authorizationData":[{"authorizationToken":"QVdT","expiresAt":4102444800}]}`,
		`{"authorizationData":[{"authorizationToken":"QVdTOg==","expiresAt":4102444800}]}`,
		`{"authorizationData":[{"authorizationToken":"QVdTOng="}]}`,
	} {
		client := ecr.New(ecr.Config{HTTP: &http.Client{Transport: fixed(body)}})
		_, _, err := client.Credentials(t.Context(), account+".dkr.ecr.eu-west-1.amazonaws.com", false)
		mustBe(t, body, err, "unavailable")
	}
}

// fixed answers each request with the same text.
type fixed string

func (f fixed) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}}, Body: io.NopCloser(strings.NewReader(string(f))), Request: r}, nil
}
