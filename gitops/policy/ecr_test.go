package policy_test

import (
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/policy"
)

// ofRepository is a policy of one app with that repository.
func ofRepository(repository string) (*policy.Policy, error) {
	return policy.New(policy.Config{
		Environments: map[string]policy.Environment{"dev": {Tags: policy.TagRule{Match: "v.+"}}},
		Apps:         map[string]policy.App{"api": {Repository: repository}},
	})
}

// Every host that serves a registry stands for it, in each partition of AWS, and a
// registry that is named in a reason has its usual host.
func TestPushKnowsEveryHostOfARegistry(t *testing.T) {
	for _, c := range []struct{ host, region, usual string }{
		{"dkr.ecr.eu-west-1.amazonaws.com", "eu-west-1", "eu-west-1.amazonaws.com"},
		{"dkr.ecr-fips.us-east-1.amazonaws.com", "us-east-1", "us-east-1.amazonaws.com"},
		{"dkr-ecr.eu-west-1.on.aws", "eu-west-1", "eu-west-1.amazonaws.com"},
		{"dkr-ecr-fips.us-gov-west-1.on.aws", "us-gov-west-1", "us-gov-west-1.amazonaws.com"},
		{"dkr.ecr-fips.us-gov-east-1.amazonaws.com", "us-gov-east-1", "us-gov-east-1.amazonaws.com"},
		{"dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1", "cn-north-1.amazonaws.com.cn"},
		{"dkr-ecr.cn-northwest-1.on.amazonwebservices.com.cn", "cn-northwest-1", "cn-northwest-1.amazonaws.com.cn"},
		{"dkr.ecr.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1", "eusc-de-east-1.amazonaws.eu"},
		{"dkr-ecr.eusc-de-east-1.on.amazonwebservices.eu", "eusc-de-east-1", "eusc-de-east-1.amazonaws.eu"},
		{"dkr.ecr.us-iso-east-1.c2s.ic.gov", "us-iso-east-1", "us-iso-east-1.c2s.ic.gov"},
		{"dkr.ecr.us-isob-east-1.sc2s.sgov.gov", "us-isob-east-1", "us-isob-east-1.sc2s.sgov.gov"},
		{"dkr.ecr.eu-isoe-west-1.cloud.adc-e.uk", "eu-isoe-west-1", "eu-isoe-west-1.cloud.adc-e.uk"},
		{"dkr.ecr-fips.us-isof-south-1.csp.hci.ic.gov", "us-isof-south-1", "us-isof-south-1.csp.hci.ic.gov"},
	} {
		p, err := ofRepository("123456789012." + c.host + "/shop/api")
		if err != nil {
			t.Error(err)
			continue
		}
		push := gitops.ImagePush{Account: "123456789012", Region: c.region, Repository: "shop/api", Tag: "v1"}
		if d, _ := p.Plan(gitops.Event{Push: &push}); len(d.Updates) != 1 {
			t.Errorf("%s: not recognised as ECR: %s", c.host, d.Reason)
		}
		push.Repository = "other"
		if d, _ := p.Plan(gitops.Event{Push: &push}); !strings.HasSuffix(d.Reason, " 123456789012.dkr.ecr."+c.usual+"/other") {
			t.Errorf("%s: named in %q", c.host, d.Reason)
		}
	}
}

// A host that was meant as ECR's and is not says what is wrong; any other registry's
// is not checked as ECR's.
func TestHostsThatLookLikeECR(t *testing.T) {
	for host, want := range map[string]string{
		"12345678901.dkr.ecr.eu-west-1.amazonaws.com":       `an AWS account has 12 digits, not "12345678901"`,
		"myshop.dkr.ecr.eu-west-1.amazonaws.com":            `an AWS account has 12 digits, not "myshop"`,
		"123456789012.dkr.ecr.eu-west.amazonaws.com":        `"eu-west" is not an AWS region`,
		"123456789012.dkr.ecr.us-moon-east-1.c2s.ic.gov":    `"us-moon-east-1" is not an AWS region`,
		"123456789012.dkr.ecr.eusc-de-east-1.amazonaws.com": "it must end in amazonaws.eu or on.amazonwebservices.eu in the region eusc-de-east-1",
		"123456789012.dkr.ecr.eu-west-1.amazonaws.com.cn":   "it must end in amazonaws.com or on.aws in the region eu-west-1",
		"123456789012.dkr.ecr.eu-west-1.amazonaws.co":       "it must end in amazonaws.com or on.aws",
		"123456789012.dkr.ecr.cn-north-1.amazonaws.com":     "it must end in amazonaws.com.cn or on.amazonwebservices.com.cn",
		"123456789012.dkr.ecr.eu-west-1.amazonaws.com:443":  "it must end in amazonaws.com or on.aws",
		"123456789012.dkr.ecr.amazonaws.com":                `"amazonaws" is not an AWS region`,
		"123456789012.ecr.eu-west-1.amazonaws.com":          "it must be ACCOUNT.dkr.ecr.REGION.DOMAIN",
		"dkr.ecr.eu-west-1.amazonaws.com":                   "it must be ACCOUNT.dkr.ecr.REGION.DOMAIN",
		"public.ecr.aws":                                    "",
		"registry.example.com":                              "",
		"dkr.example.com":                                   "",
		"ecr.example.com:5000":                              "",
		"registry-1.eu-west-1.elb.amazonaws.com":            "",
	} {
		_, err := ofRepository(host + "/shop/api")
		if want == "" && err != nil || want != "" && (gitops.CodeOf(err) != gitops.Invalid || !strings.Contains(err.Error(), "apps.api.repository: "+host+" is not a host of Amazon ECR: "+want)) {
			t.Errorf("%s: %v, want %q", host, err, want)
		}
	}
}

// A registry has one name in the rules of access, whichever of its hosts an image has.
func TestHostOf(t *testing.T) {
	for repository, want := range map[string]string{
		"123456789012.dkr-ecr-fips.us-east-1.on.aws/shop/api":  "123456789012.dkr.ecr.us-east-1.amazonaws.com",
		"123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/api": "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
		"ghcr.io/shop/api":               "ghcr.io",
		"registry.example:5000/shop/api": "registry.example:5000",
		"docker.io/shop/api":             "docker.io",
		"index.docker.io/shop/api":       "docker.io",
		"shop/api":                       "docker.io",
		"ghcr.io:443/shop/api":           "ghcr.io",
	} {
		if got := policy.HostOf(repository); got != want {
			t.Errorf("%s is in %s", repository, got)
		}
	}
}
