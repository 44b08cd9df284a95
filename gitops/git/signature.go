package git

import (
	"cmp"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Signature is the name and address in a commit.
type Signature struct {
	Name, Email string
}

// Or fills what is empty.
func (s Signature) Or(other Signature) Signature {
	return Signature{Name: cmp.Or(s.Name, other.Name), Email: cmp.Or(s.Email, other.Email)}
}

func (s Signature) Validate() error {
	switch {
	case s.Name == "" || strings.ContainsAny(s.Name, "<>\n\x00"):
		return gitops.FieldErrorf("author.name", "is missing, or has a character that git does not allow there")
	case s.Email == "" || strings.ContainsAny(s.Email, "<> \n\x00"):
		return gitops.FieldErrorf("author.email", "is missing, or has a character that git does not allow there")
	}
	return nil
}
