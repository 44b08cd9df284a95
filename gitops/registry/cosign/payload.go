package cosign

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/tallyman-dev/tallyman/gitops/image"
)

const (
	signatureAnnotation = "dev.cosignproject.cosign/signature"
	simpleType          = "cosign container image signature"
)

// critical is the part of a simple signing payload that a verifier has to understand all of: a
// member that it does not know makes the signature invalid (containers/image,
// docs/containers-signature.5.md).
type critical struct {
	Identity struct {
		Reference string `json:"docker-reference"` // not compared: a mirror's image is the same image
	} `json:"identity"`
	Image struct {
		Digest string `json:"docker-manifest-digest"`
	} `json:"image"`
	Type string `json:"type"`
}

// readSimple verifies a payload by the signature in its layer's annotation, and reads it only then.
func readSimple(key *image.Key, s image.Signature) (digest string) {
	signature, err := base64.StdEncoding.DecodeString(s.Annotations[signatureAnnotation])
	if err != nil || !verify(key.Public, s.Payload, signature) {
		return ""
	}
	var payload struct {
		Critical json.RawMessage `json:"critical"`
	}
	var c critical
	if json.Unmarshal(s.Payload, &payload) != nil || unmarshalKnown(payload.Critical, &c) != nil || c.Type != simpleType {
		return ""
	}
	return c.Image.Digest
}

// unmarshalKnown rejects members that the value does not have.
func unmarshalKnown(data []byte, value any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(value); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("there is more after it: %w", err)
	}
	return nil
}

const (
	statementType = "application/vnd.in-toto+json"
	// signPredicate is what cosign states of an image that it signs. Its other statements, such as an
	// SBOM, say something of an image, and are no signature of it.
	signPredicate = "https://sigstore.dev/cosign/sign/v1"
)

var statements = []string{"https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"}

// bundle is a Sigstore bundle, without what is about certificates and transparency logs.
type bundle struct {
	Envelope struct {
		Payload    []byte `json:"payload"`
		Type       string `json:"payloadType"`
		Signatures []struct {
			Signature []byte `json:"sig"`
		} `json:"signatures"`
	} `json:"dsseEnvelope"`
}

type statement struct {
	Type      string `json:"_type"`
	Predicate string `json:"predicateType"`
	Subjects  []struct {
		Digest map[string]string `json:"digest"`
	} `json:"subject"`
}

// readBundle reads a bundle's statement, and verifies its envelope.
func readBundle(key *image.Key, content []byte) (digest string, is bool) {
	var b bundle
	var s statement
	if json.Unmarshal(content, &b) != nil || b.Envelope.Type != statementType || json.Unmarshal(b.Envelope.Payload, &s) != nil ||
		!slices.Contains(statements, s.Type) || s.Predicate != signPredicate {
		return "", false
	}
	// What is signed is the type and the payload (DSSE protocol, "PAE").
	signed := fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(b.Envelope.Type), b.Envelope.Type, len(b.Envelope.Payload), b.Envelope.Payload)
	// cosign's envelope has one signature, and its statement one subject.
	if len(b.Envelope.Signatures) != 1 || len(s.Subjects) != 1 || !verify(key.Public, signed, b.Envelope.Signatures[0].Signature) {
		return "", true
	}
	sum := s.Subjects[0].Digest["sha256"]
	if sum == "" {
		return "", true
	}
	return "sha256:" + sum, true
}
