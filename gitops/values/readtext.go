package values

import (
	yaml "go.yaml.in/yaml/v4"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Key is a compiled key to read one text with. Immutable and safe for concurrent use.
type Key struct{ target target }

// CompileKey compiles a key. The error is an Invalid [gitops.Error] on the field key.
func CompileKey(text string) (*Key, error) {
	k, err := parseKey(text)
	if err != nil {
		return nil, gitops.FieldErrorf("key", "%s", err)
	}
	return &Key{target{key: k, follow: true}}, nil
}

// Text returns the scalar that a key selects; it is "" when that is empty. Errors as
// [Document.Tag].
func (d *Document) Text(k *Key) (string, error) {
	text, err := d.source.read(k.target)
	if err != nil {
		return "", k.target.at(err)
	}
	return text, nil
}

// Roots are the roots of the document's parts, which must not be changed. Maps and lists
// in them are within the limits, with what aliases stand for.
func (d *Document) Roots() []*yaml.Node { return d.source.docs }
