package ecrevent

import (
	"bytes"
	"encoding/json"
)

// foreign are bodies that are sent in place of an EventBridge event, each known by
// fields that it alone has, with the way out.
var foreign = []struct {
	fields []string
	says   string
}{
	{[]string{"Type", "TopicArn"}, ": it is a message of Amazon SNS; subscribe the topic to /webhooks/sns, and list it in sources.sns.topics"},
	{[]string{"specversion", "type"}, ": it is a CloudEvent; send what EventBridge has as it is, without an input transformer"},
	{[]string{"action-type", "repository-name"}, ": it is the detail of one alone; remove InputPath ($.detail) and InputTransformer from the rule's target"},
	{[]string{"scan-status", "repository-name"}, ": it is the detail of one alone; remove InputPath ($.detail) and InputTransformer from the rule's target"},
	{[]string{"client_payload", "action"}, ": it is a repository_dispatch of GitHub; set the App's webhook to /webhooks/github"},
	{[]string{"zen", "hook_id"}, ": it is a ping of GitHub; set the App's webhook to /webhooks/github"},
	{[]string{"Records"}, ": it is a batch of Amazon SQS or S3; let an EventBridge rule send each event here"},
}

// notOurs is said of any other body that has nothing of EventBridge's envelope.
const notOurs = ": it has neither source nor detail-type; let the rule's target send the event as it is, without InputPath or InputTransformer. " +
	"An image in another registry than ECR is ordered by a repository_dispatch or the API"

// otherwise says what a body that is not an EventBridge event is; "" when it is not
// known.
func otherwise(body []byte) string {
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("[")) {
		return ": it is a list; send each event by itself, as an API destination does"
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil {
		return ""
	}
next:
	for _, known := range foreign {
		for _, field := range known.fields {
			if _, has := fields[field]; !has {
				continue next
			}
		}
		return known.says
	}
	return ""
}
