package attack

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
)

// Request is one that no valid credential comes with.
type Request struct {
	Name         string
	Method, Path string
	Header       map[string]string
	Body         string
	Status       int // what it is answered while its address is below every limit
}

// Of orders that would count if they were authenticated.
const (
	dispatch = `{"action":"update-image","branch":"main","client_payload":{"app":"app-0000","env":"prod","tag":"main-bad0000"},` +
		`"repository":{"id":1,"full_name":"example/manifests"},"sender":{"login":"mallory","id":666},"installation":{"id":1}}`
	order  = `{"app":"app-0000","environment":"prod","tag":"main-bad0000"}`
	pushed = `{"version":"0","id":"bad","detail-type":"ECR Image Action","source":"aws.ecr","account":"123456789012","time":"2026-01-02T15:04:05Z",` +
		`"region":"eu-west-1","resources":[],"detail":{"result":"SUCCESS","repository-name":"app-0000","action-type":"PUSH","image-tag":"main-bad0000"}}`
)

// Forged is a request of each kind that is refused. The topic is one that the server
// listens to.
func Forged(topic string) []Request {
	signed := strings.Repeat("0", 64)
	github := func(name, header, value string, status int) Request {
		return Request{name, "POST", "/webhooks/github", map[string]string{
			"Content-Type": "application/json", "X-GitHub-Event": "repository_dispatch", "X-GitHub-Delivery": "bad", header: value,
		}, dispatch, status}
	}
	bearer := func(name, method, path, token, body string) Request {
		return Request{name, method, path, map[string]string{"Authorization": "Bearer " + token, "Idempotency-Key": "bad"}, body, 401}
	}
	return []Request{
		github("a dispatch with another's signature", "X-Hub-Signature-256", "sha256="+signed, 401),
		github("a dispatch signed by SHA-1 alone", "X-Hub-Signature", "sha1="+signed[:40], 401),
		github("a dispatch without a signature", "User-Agent", "GitHub-Hookshot/bad", 401),
		{"a push with another key", "POST", "/webhooks/ecr", map[string]string{"X-Tallyman-Key": "guessed-" + signed}, pushed, 401},
		{"a push without a key", "POST", "/webhooks/ecr", nil, pushed, 401},
		forgedSNS("a message with a made-up signature", topic, "Notification", 401),
		forgedSNS("a confirmation with a made-up signature", topic, "SubscriptionConfirmation", 401),
		forgedSNS("a message of another topic", topic+"-of-mine", "Notification", 403),
		bearer("an order with a made-up token", "POST", "/api/v1/updates", "guessed-"+signed, order),
		bearer("an order with a token that nobody signed", "POST", "/api/v1/updates", unsigned, order),
		bearer("a look with a made-up token", "GET", "/api/v1/updates?limit=200", "guessed-"+signed, ""),
		{"a stream without a token", "GET", "/api/v1/events", nil, "", 401},
		{"a path that is not there", "GET", "/.env", nil, "", 404},
		{"a method that is not there", "PUT", "/webhooks/github", nil, "x", 405},
		{"a body that is too large", "POST", "/webhooks/github", map[string]string{"Content-Type": "application/json"}, strings.Repeat("x", 1<<20+1), 413},
	}
}

// unsigned is a token as of a job, by the algorithm "none".
var unsigned = encode(`{"alg":"none","typ":"JWT"}`) + "." +
	encode(`{"iss":"https://token.actions.githubusercontent.com","aud":"x","repository_id":"1","exp":4102444800}`) + "."

func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// forgedSNS is a message of a topic that names the certificate that SNS has in the
// topic's region, and has another's signature.
func forgedSNS(name, topic, kind string, status int) Request {
	region := strings.Split(topic, ":")[3]
	body := fmt.Sprintf(`{"Type":%q,"MessageId":"bad","TopicArn":%q,"Message":%q,"Token":"bad","SubscribeURL":"https://evil.example/",`+
		`"Timestamp":"2026-01-02T15:04:05.000Z","SignatureVersion":"2","Signature":%q,`+
		`"SigningCertURL":"https://sns.%s.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"}`,
		kind, topic, pushed, base64.StdEncoding.EncodeToString(make([]byte, 256)), region)
	return Request{name, "POST", "/webhooks/sns", map[string]string{"Content-Type": "text/plain; charset=UTF-8"}, body, status}
}

// HTTP is the request to a server, whose address begins with http.
func (r Request) HTTP(ctx context.Context, base string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, r.Method, base+r.Path, strings.NewReader(r.Body))
	if err != nil {
		return nil, err
	}
	for name, value := range r.Header {
		req.Header.Set(name, value)
	}
	return req, nil
}
