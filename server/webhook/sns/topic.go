package sns

import (
	"regexp"

	"github.com/tallyman-dev/tallyman/gitops/aws"
)

// topicGrammar is an ARN of a standard topic; one of FIFO sends nothing over HTTPS.
var topicGrammar = regexp.MustCompile(`^arn:([a-z-]+):sns:([a-z0-9-]+):[0-9]{12}:[A-Za-z0-9_-]{1,256}$`)

// hostOf is the host of SNS where the topic is; ok is false when it is not the ARN of a
// standard topic.
func hostOf(topic string) (host string, ok bool) {
	match := topicGrammar.FindStringSubmatch(topic)
	if match == nil {
		return "", false
	}
	partition, ok := aws.PartitionOf(match[2])
	if !ok || partition.Name != match[1] {
		return "", false
	}
	return "sns." + match[2] + "." + partition.Domain, true
}
