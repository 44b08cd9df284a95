package aws_test

import (
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/aws"
)

func TestPartitionOf(t *testing.T) {
	for region, want := range map[string][3]string{
		"eu-west-1":      {"aws", "amazonaws.com", "on.aws"},
		"ap-southeast-5": {"aws", "amazonaws.com", "on.aws"},
		"mx-central-1":   {"aws", "amazonaws.com", "on.aws"},
		"us-gov-west-1":  {"aws-us-gov", "amazonaws.com", "on.aws"},
		"cn-northwest-1": {"aws-cn", "amazonaws.com.cn", "on.amazonwebservices.com.cn"},
		"eusc-de-east-1": {"aws-eusc", "amazonaws.eu", "on.amazonwebservices.eu"},
		"us-iso-east-1":  {"aws-iso", "c2s.ic.gov", "on.aws.ic.gov"},
		"us-isob-east-1": {"aws-iso-b", "sc2s.sgov.gov", "on.aws.scloud"},
		"eu-isoe-west-1": {"aws-iso-e", "cloud.adc-e.uk", "on.cloud-aws.adc-e.uk"},
		"us-isof-east-1": {"aws-iso-f", "csp.hci.ic.gov", "on.aws.hci.ic.gov"},
		"":               {}, "Frankfurt": {}, "eu-west": {}, "eu-west-1a": {}, "eu-west-123": {}, "EU-WEST-1": {}, "us-moon-east-1": {}, "eusc-east-1": {}, "eu-west-1\n": {},
	} {
		p, ok := aws.PartitionOf(region)
		if ok != (want[0] != "") || p.Name != want[0] || p.Domain != want[1] || p.DualStack != want[2] {
			t.Errorf("%q: %v %v, want %v", region, ok, p, want)
		}
	}
}

func TestIsHost(t *testing.T) {
	for host, want := range map[string]bool{
		"sns.eu-west-1.amazonaws.com": true, "x.amazonaws.eu": true, "x.on.aws": true, "x.cloud.adc-e.uk": true, "x.on.aws.scloud": true,
		"amazonaws.com": false, "amazonaws.com.evil.example": false, "notamazonaws.com": false, "public.ecr.aws": false, "": false,
	} {
		if aws.IsHost(host) != want {
			t.Errorf("%q: %v", host, !want)
		}
	}
}
