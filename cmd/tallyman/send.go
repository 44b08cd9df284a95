package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/policy"
	"github.com/tallyman-dev/tallyman/server/api"
)

func newSend() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "send",
		Short: "Send a signed test event",
		Long: `Send a running server an event that is signed as its sender does, and print the
answer. Exit status 0: the server accepted it (2xx). 4: the server rejected it. 7: the
server is unavailable.

  tallyman send github   a GitHub App's webhook "repository_dispatch", as caused by
      gh api repos/OWNER/REPO/dispatches -f event_type=update-image \
        -f 'client_payload[app]=APP' -f 'client_payload[tag]=TAG' \
        -f 'client_payload[env]=ENV'
      signed in the header X-Hub-Signature-256; several apps or environments are a list,
      as of -f 'client_payload[app][]=APP' for each

  tallyman send ecr      EventBridge's raw "ECR Image Action" event, as caused by
      docker push ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME:TAG
      with the API destination's secret in a header`,
		Example: `  tallyman send github --secret-file webhook-secret --repository-id 17273051 --app myshop-api --env dev --tag main-1a2b3c4
  tallyman send ecr --secret-file eventbridge-key --tag 1.4.0 \
    --repository 123456789012.dkr.ecr.ap-northeast-2.amazonaws.com/myshop-api`,
	}
	cmd.Args = noArgs
	cmd.RunE = func(*cobra.Command, []string) error {
		return badInput{errors.New("send needs a command: tallyman send github, or tallyman send ecr")}
	}
	cmd.AddCommand(newSendGitHub(), newSendECR())
	return cmd
}

// destination is what the two forms of send have in common.
type destination struct {
	url        string
	secretFile string
	id         string
	dryRun     bool
}

func (d *destination) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&d.url, "url", "", "public `address` of the server (default: TALLYMAN_URL, or url in client.yaml, or "+usualAddress+")")
	cmd.Flags().StringVar(&d.secretFile, "secret-file", "", "`file` with the secret of the server's configuration (required)")
	cmd.Flags().StringVar(&d.id, "id", "", "`id` of the delivery; the same id twice is a duplicate (default: a new one)")
	cmd.Flags().BoolVar(&d.dryRun, "dry-run", false, "print the request instead of sending it; it holds the secret or its signature")
}

// deliver makes the request with the secret and sends it.
func (d *destination) deliver(ctx context.Context, out io.Writer, newRequest func(base string, secret []byte, id string) (*http.Request, error)) error {
	if d.secretFile == "" {
		return badInput{errors.New("--secret-file is required")}
	}
	secret, err := os.ReadFile(d.secretFile)
	if err != nil {
		return badInput{fmt.Errorf("--secret-file: %w", err)}
	}
	if d.id == "" {
		d.id = uuid.NewString()
	}
	file, err := readClientFile()
	if err != nil {
		return badInput{err}
	}
	req, err := newRequest(strings.TrimSuffix(serverAddress(d.url, file), "/"), bytes.TrimRight(secret, "\r\n"), d.id)
	if err != nil {
		return badInput{err}
	}
	if d.dryRun {
		return printRequest(out, req)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second) // GitHub's own limit
	defer cancel()
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // the secret is for this address alone
	}}
	resp, err := client.Do(req.WithContext(ctx))
	if err != nil {
		var bad *url.Error
		if errors.As(err, &bad) {
			err = bad.Err
		}
		return serverError{gitops.Errorf(gitops.Unavailable, "%s cannot be reached", req.URL.Host).WithCause(err)}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "HTTP %s\n%s", resp.Status, indentJSON(body))
	if resp.StatusCode/100 == 2 {
		return nil
	}
	code := gitops.Rejected
	if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500 {
		code = gitops.Unavailable
	}
	return serverError{gitops.Errorf(code, "delivery %s not accepted", d.id)}
}

func printRequest(out io.Writer, req *http.Request) error {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s %s\n", req.Method, req.URL)
	if err := req.Header.Write(out); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "\n%s\n", body)
	return err
}

// indentJSON lays JSON out for people; other text stays as it is.
func indentJSON(text []byte) string {
	var indented bytes.Buffer
	if err := json.Indent(&indented, bytes.TrimSpace(text), "", "  "); err != nil {
		return string(text)
	}
	return indented.String() + "\n"
}

func newSendGitHub() *cobra.Command {
	var to destination
	var d dispatch
	cmd := &cobra.Command{
		Use:     "github",
		Short:   "Send a GitHub App's repository_dispatch webhook",
		Example: "  tallyman send github --secret-file webhook-secret --repository-id 17273051 --app myshop-api --env dev --tag main-1a2b3c4",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return to.deliver(cmd.Context(), cmd.OutOrStdout(), d.request)
		},
	}
	to.flags(cmd)
	cmd.Flags().StringSliceVar((*[]string)(&d.App), "app", nil, "`name` of the app, or several")
	cmd.Flags().StringSliceVar((*[]string)(&d.Environment), "env", nil, "`name` of the environment, or several")
	cmd.Flags().StringVar(&d.Tag, "tag", "", "image `tag`")
	cmd.Flags().StringVar(&d.Digest, "digest", "", "image `digest`, as sha256:HEX")
	cmd.Flags().StringVar(&d.eventType, "event-type", "update-image", "event_type of the dispatch")
	cmd.Flags().StringVar(&d.actor, "actor", "tallyman-send", "login of the sender")
	cmd.Flags().StringVar(&d.repository, "repository", "example/manifests", "`name` of the repository that it is sent in, as OWNER/NAME")
	cmd.Flags().Int64Var(&d.repositoryID, "repository-id", 1, "`number` of that repository, which the rules of access go by")
	return cmd
}

// dispatch is what a repository_dispatch webhook says.
type dispatch struct {
	App         api.Names `json:"app,omitempty"`
	Environment api.Names `json:"env,omitempty"`
	Tag         string    `json:"tag,omitempty"`
	Digest      string    `json:"digest,omitempty"`
	Nonce       string    `json:"nonce"` // the delivery's id: the same event counts again under another

	eventType, actor string
	repository       string // owner/name
	repositoryID     int64
}

// request is the webhook as GitHub sends it.
func (d dispatch) request(base string, secret []byte, id string) (*http.Request, error) {
	d.Nonce = id
	body, err := json.Marshal(map[string]any{
		"action":         d.eventType,
		"branch":         "main",
		"client_payload": d,
		"repository":     map[string]any{"id": d.repositoryID, "full_name": d.repository},
		"sender":         map[string]any{"login": d.actor, "id": 1, "type": "User"},
		"installation":   map[string]any{"id": 1},
	})
	if err != nil {
		return nil, err
	}
	return newWebhook(base, secret, "repository_dispatch", id, body)
}

// newWebhook is a webhook as GitHub sends and signs it.
func newWebhook(base string, secret []byte, event, id string, body []byte) (*http.Request, error) {
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	return newPost(base+"/webhooks/github", body, map[string]string{
		"Content-Type":        "application/json",
		"User-Agent":          "GitHub-Hookshot/tallyman-send",
		"X-GitHub-Event":      event,
		"X-GitHub-Delivery":   id,
		"X-Hub-Signature-256": "sha256=" + hex.EncodeToString(mac.Sum(nil)),
	})
}

func newSendECR() *cobra.Command {
	var to destination
	e := imageEvent{at: time.Now()}
	cmd := &cobra.Command{
		Use:   "ecr",
		Short: "Send EventBridge's event of an ECR push",
		Example: `  tallyman send ecr --secret-file eventbridge-key --tag 1.4.0 \
    --repository 123456789012.dkr.ecr.ap-northeast-2.amazonaws.com/myshop-api`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return to.deliver(cmd.Context(), cmd.OutOrStdout(), e.request)
		},
	}
	to.flags(cmd)
	cmd.Flags().StringVar(&e.header, "header", "X-Tallyman-Key", "`name` of the header with the secret")
	cmd.Flags().StringVar(&e.repository, "repository", "", "image `name` without tag: ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME (required)")
	cmd.Flags().StringVar(&e.tag, "tag", "", "image `tag`; none for an untagged push")
	cmd.Flags().StringVar(&e.digest, "digest", "sha256:"+strings.Repeat("0", 64), "image `digest`")
	cmd.Flags().StringVar(&e.action, "action-type", "PUSH", "PUSH, DELETE or REPLICATE")
	cmd.Flags().TimeVar(&e.at, "time", e.at, []string{time.RFC3339}, "`time` of the push, as in 2026-01-02T15:04:05Z (default: now)")
	cmd.Flags().Lookup("time").DefValue = ""
	return cmd
}

// imageEvent is what an event of an image in ECR says.
type imageEvent struct {
	header, repository, tag, digest, action string
	at                                      time.Time
}

// request is the event as an EventBridge API destination sends it.
func (e imageEvent) request(base string, secret []byte, id string) (*http.Request, error) {
	name, ok := policy.ParseECR(e.repository)
	if !ok {
		return nil, fmt.Errorf("--repository must be ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME, not %q", e.repository)
	}
	detailType := "ECR Image Action"
	if e.action == "REPLICATE" {
		detailType = "ECR Replication Action"
	}
	body, err := json.Marshal(map[string]any{
		"version":     "0",
		"id":          id,
		"detail-type": detailType,
		"source":      "aws.ecr",
		"account":     name.Account,
		"time":        e.at.UTC().Format(time.RFC3339),
		"region":      name.Region,
		"resources":   []string{},
		"detail": map[string]string{
			"result": "SUCCESS", "action-type": e.action, "repository-name": name.Name,
			"image-digest": e.digest, "image-tag": e.tag,
		},
	})
	if err != nil {
		return nil, err
	}
	return newPost(base+"/webhooks/ecr", body, map[string]string{
		"Content-Type": "application/json; charset=utf-8",
		"User-Agent":   "Amazon/EventBridge/ApiDestinations",
		e.header:       string(secret),
	})
}

func newPost(address string, body []byte, header map[string]string) (*http.Request, error) {
	if u, err := url.Parse(address); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("--url must begin with http:// or https://, not %s", address)
	}
	req, err := http.NewRequest(http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	return req, nil
}
