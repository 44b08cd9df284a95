package gitops

import (
	"iter"
	"regexp"
	"slices"
	"strings"
)

// Everything a payload names ends up in a file path, a commit message or a YAML
// scalar. These grammars are what makes that safe, so they are checked before
// anything else looks at the text.
var (
	nameGrammar   = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?$`)
	tagGrammar    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`) // OCI distribution spec v1.1, "Pulling manifests"
	digestGrammar = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)               // OCI image spec v1.1, "Digests"
	// Cosign and the OCI distribution spec v1.1 ("Referrers Tag Schema") tag what
	// belongs to an image with the image's digest.
	referrerGrammar = regexp.MustCompile(`^sha(256|512)-[0-9a-f]{64}(\..+)?$`)
	revisionGrammar = regexp.MustCompile(`^[0-9a-f]{40}$`)
	idGrammar       = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$`)
	actorGrammar    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/@\[\]-]{0,127}$`)
)

// CheckName reports what is wrong with an app's or an environment's name, as an
// [Invalid] error on field. Names are compared letter by letter, capitals as such:
// whoever takes a set of names refuses two that differ only in case ([SameButCase]).
func CheckName(field, name string) error {
	switch {
	case name == "":
		return FieldErrorf(field, "is missing")
	case !nameGrammar.MatchString(name):
		return FieldErrorf(field, "must be 1 to 100 of A-Z a-z 0-9 . _ - and begin and end with a letter or digit")
	case strings.Contains(name, ".."):
		return FieldErrorf(field, `must not contain ".."`)
	}
	return nil
}

// SameButCase lists the names that some other one differs from only in case, each with
// the first of those in the order of bytes. A person reads such two as one, and so does a
// disk that ignores case.
func SameButCase(names iter.Seq[string]) map[string]string {
	first := make(map[string]string)
	found := make(map[string]string)
	for _, name := range slices.Sorted(names) {
		lower := strings.ToLower(name)
		if other, ok := first[lower]; ok && other != name {
			found[name] = other
		} else {
			first[lower] = name
		}
	}
	return found
}

// InOtherCase is the one of the names that differs from a name only in case; "" when none
// does.
func InOtherCase(name string, names iter.Seq[string]) string {
	for other := range names {
		if other != name && strings.EqualFold(other, name) {
			return other
		}
	}
	return ""
}

// CheckTag reports what is wrong with an image tag, as an [Invalid] error on field.
func CheckTag(field, tag string) error {
	switch {
	case tag == "":
		return FieldErrorf(field, "is missing")
	case !tagGrammar.MatchString(tag):
		return FieldErrorf(field, "%.40q is not an image tag: 1 to 128 of A-Z a-z 0-9 . _ - not beginning with . or -", tag)
	case tag == "latest":
		return FieldErrorf(field, `"latest" never reaches a manifest: name the tag of one build`)
	case referrerGrammar.MatchString(tag):
		return FieldErrorf(field, "%s names a signature, an attestation or an SBOM of an image (sha256-DIGEST.sig, .att, .sbom): name the image's own tag", tag)
	}
	return nil
}

// CheckDigest reports what is wrong with an image digest, as an [Invalid] error
// on field. No digest is no error.
func CheckDigest(field, digest string) error {
	if digest != "" && !digestGrammar.MatchString(digest) {
		return FieldErrorf(field, `%.80q is not a digest: "sha256:" and 64 hexadecimal digits in lower case`, digest)
	}
	return nil
}

// CheckRevision reports what is wrong with the name of a commit of an app's own repository,
// as an [Invalid] error on field. No revision is no error. A short name is not taken: it may
// come to name two commits.
func CheckRevision(field, revision string) error {
	if revision != "" && !revisionGrammar.MatchString(revision) {
		return FieldErrorf(field, `%.80q is not the full name of a commit: 40 hexadecimal digits in lower case, as "git rev-parse HEAD" prints them`, revision)
	}
	return nil
}

// CheckDeliveryID reports what is wrong with a sender's id for a delivery, as
// an [Invalid] error on field. The id becomes part of a commit trailer.
func CheckDeliveryID(field, id string) error {
	switch {
	case id == "":
		return FieldErrorf(field, "is missing")
	case !idGrammar.MatchString(id):
		return FieldErrorf(field, "must be 1 to 128 of A-Z a-z 0-9 . _ : - and begin with a letter or digit")
	}
	return nil
}

// CheckActor reports what is wrong with the name of whoever caused a delivery,
// as an [Invalid] error on field. No actor is no error. The name becomes part of
// a commit trailer.
func CheckActor(field, actor string) error {
	if actor != "" && !actorGrammar.MatchString(actor) {
		return FieldErrorf(field, "must be 1 to 128 of A-Z a-z 0-9 . _ : / @ [ ] - and begin with a letter or digit")
	}
	return nil
}
