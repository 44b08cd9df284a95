package values

import (
	"fmt"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Refusal is the reason why a file was left as it is: one of a closed set. It
// is carried in the Err of the [gitops.Error] that [Edit.Apply] returns, so
// errors.Is(err, Alias) and errors.As both find it. The error's Message says
// the same in a sentence, with the names and the way out.
type Refusal string

const (
	// About the file as a whole.
	FileTooLarge Refusal = "file_too_large" // over its [Limits]
	BadEncoding  Refusal = "bad_encoding"   // not UTF-8, or with characters that YAML readers break lines at differently
	NotYAML      Refusal = "not_yaml"       // a YAML 1.1 or a YAML 1.2 reader rejects it
	// Authenticated is a file in which something authenticates the rest: a SOPS MAC,
	// a signature, a digest over what is in it.
	Authenticated Refusal = "authenticated"

	// About what the key selects.
	NothingSelected Refusal = "nothing_selected"
	SeveralSelected Refusal = "several_selected" // more than one scalar, or one scalar for two targets
	NotScalar       Refusal = "not_scalar"       // a map or a list
	DuplicateKey    Refusal = "duplicate_key"    // readers differ on which one counts
	Alias           Refusal = "alias"            // is *name, or lies beyond one
	MergeKey        Refusal = "merge_key"        // only there because of <<
	SharedAnchor    Refusal = "shared_anchor"    // other places would change with it, by an anchor or a merge key

	// About how the scalar is written.
	BlockScalar Refusal = "block_scalar" // | or >
	MultiLine   Refusal = "multi_line"
	ExplicitTag Refusal = "explicit_tag" // !!str, !custom

	// About what the scalar holds.
	Placeholder Refusal = "placeholder" // text for another tool to fill in
	NotATag     Refusal = "not_a_tag"   // other text than an image's name, tag and digest
	Reference   Refusal = "reference"   // has a name or a digest that the new value would drop
	DigestWins  Refusal = "digest_wins" // a digest beside it would be deployed in its place

	// About the new value.
	MissingValue     Refusal = "missing_value"     // the template wants what the update does not have
	NotRepresentable Refusal = "not_representable" // no spelling of it is known to be read back alike

	// About the outcome: the edited text does not read back as the old one with
	// the targets alone changed.
	Unverified Refusal = "unverified"
)

// Refusals lists every [Refusal].
func Refusals() []Refusal {
	return []Refusal{
		FileTooLarge, BadEncoding, NotYAML, Authenticated,
		NothingSelected, SeveralSelected, NotScalar, DuplicateKey, Alias, MergeKey, SharedAnchor,
		BlockScalar, MultiLine, ExplicitTag,
		Placeholder, NotATag, Reference, DigestWins,
		MissingValue, NotRepresentable, Unverified,
	}
}

func (r Refusal) Error() string { return "refused: " + string(r) }

// Code is the [gitops.Code] of an error that carries r.
func (r Refusal) Code() gitops.Code {
	switch r {
	case FileTooLarge:
		return gitops.TooLarge
	case BadEncoding, NotYAML:
		return gitops.Invalid
	case NothingSelected:
		return gitops.NotFound
	}
	return gitops.Rejected
}

func refuse(r Refusal, format string, args ...any) *gitops.Error {
	return gitops.Errorf(r.Code(), format, args...).WithCause(r)
}

// refuseWithCause also keeps what a library said, for the log.
func refuseWithCause(r Refusal, cause error, format string, args ...any) *gitops.Error {
	return gitops.Errorf(r.Code(), format, args...).WithCause(fmt.Errorf("%w: %w", r, cause))
}
