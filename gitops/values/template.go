package values

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Vars fills the value templates. A variable that no template names may be
// empty.
type Vars struct {
	Tag        string // an OCI tag
	Digest     string // "sha256:" and 64 hexadecimal digits
	Repository string // the image without tag and digest
}

// repositoryGrammar admits a registry with its port and a path, as the OCI
// distribution spec has them, and nothing that YAML or yq could read otherwise.
var repositoryGrammar = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*(:[0-9]{1,5})?(/[A-Za-z0-9][A-Za-z0-9._-]*)*$`)

// template is a value with variables, in the order they are written out.
type template []piece

type piece struct {
	literal  string
	variable string // "tag", "digest", "repository"; empty for a literal
}

func parseTemplate(text string) (template, error) {
	if !utf8.ValidString(text) || len(text) > 512 {
		return nil, fmt.Errorf("must be UTF-8 of at most 512 bytes")
	}
	for _, r := range text {
		if !unicode.IsPrint(r) {
			return nil, fmt.Errorf("must be one line of printable characters")
		}
	}
	var t template
	named := false
	for text != "" {
		literal, rest, found := strings.Cut(text, "{")
		if strings.Contains(literal, "}") {
			return nil, fmt.Errorf("has a } without its {")
		}
		if literal != "" {
			t = append(t, piece{literal: literal})
		}
		if !found {
			break
		}
		name, rest, closed := strings.Cut(rest, "}")
		if !closed || (name != "tag" && name != "digest" && name != "repository") {
			return nil, fmt.Errorf("knows {tag}, {digest} and {repository}, and no other braces")
		}
		t = append(t, piece{variable: name})
		named = true
		text = rest
	}
	if !named {
		return nil, fmt.Errorf("must name {tag}, {digest} or {repository}: it would write the same text for every release")
	}
	return t, nil
}

// uses reports whether the template names the variable.
func (t template) uses(variable string) bool {
	for _, p := range t {
		if p.variable == variable {
			return true
		}
	}
	return false
}

// render fills the template. What comes from a payload is held to its grammar
// once more: this text goes into a file that is deployed.
func (t template) render(v Vars) (string, error) {
	var b strings.Builder
	for _, p := range t {
		if p.variable == "" {
			b.WriteString(p.literal)
			continue
		}
		text, err := v.get(p.variable)
		if err != nil {
			return "", err
		}
		b.WriteString(text)
	}
	return b.String(), nil
}

func (v Vars) get(variable string) (string, error) {
	var text string
	var err error
	switch variable {
	case "tag":
		text = v.Tag
		err = gitops.CheckTag("tag", text)
	case "digest":
		text = v.Digest
		err = gitops.CheckDigest("digest", text)
	case "repository":
		text = v.Repository
		if !repositoryGrammar.MatchString(text) || len(text) > 255 {
			err = gitops.FieldErrorf("repository", "must be an image's name without tag and digest")
		}
	}
	switch {
	case text == "":
		return "", refuse(MissingValue, "the value needs the image's %s, and the update names none", variable)
	case err != nil:
		return "", refuse(NotRepresentable, "the %s cannot be written: %s", variable, gitops.PublicOf(err))
	}
	return text, nil
}
