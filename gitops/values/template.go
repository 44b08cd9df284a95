package values

import (
	"fmt"
	"regexp"
	"slices"
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

// variables are the names that a template may have in braces. {digestHex} is the
// digest's 64 digits without "sha256:", for charts that write that themselves.
var variables = []string{"tag", "digest", "digestHex", "repository"}

// template is a value with variables, in the order they are written out.
type template []piece

type piece struct {
	literal  string
	variable string // "tag", "digest", "digestHex", "repository"; empty for a literal
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
		if !closed || !slices.Contains(variables, name) {
			return nil, fmt.Errorf("knows {tag}, {digest}, {digestHex} and {repository}, and no other braces")
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

// isDigest reports whether the template is {digest} alone.
func (t template) isDigest() bool { return len(t) == 1 && t[0].variable == "digest" }

// frame is the text before the first variable and after the last.
func (t template) frame() (before, after string) {
	return t[0].literal, t[len(t)-1].literal
}

// render fills the template. What comes from a payload is held to its grammar
// once more: this text goes into a file that is deployed.
func (t template) render(v Vars) (string, error) {
	var b strings.Builder
	named := false // else it is the configuration's own text
	for _, p := range t {
		if p.variable == "" {
			b.WriteString(p.literal)
			continue
		}
		named = true
		text, err := v.get(p.variable)
		if err != nil {
			return "", err
		}
		b.WriteString(text)
	}
	text := b.String()
	if digestBegins.MatchString(text) && !digestEnds.MatchString(text) {
		return "", refuse(NotRepresentable, "would be set to %s, which is not a digest: that is sha256: and 64 hexadecimal digits in lower case", show(text))
	}
	if named && placeholderText.MatchString(text) { // the next update would not write over it
		return "", refuse(Placeholder, "would be set to %s, which looks like text for another tool to fill in; send the tag that it stands for", show(text))
	}
	return text, nil
}

var (
	digestBegins = regexp.MustCompile(`^(?:[^@]*@)?sha(?:256|512):`)
	digestEnds   = regexp.MustCompile(`^(?:[^@]*@)?(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$`)
)

func (v Vars) get(variable string) (string, error) {
	var text string
	var err error
	switch variable {
	case "tag":
		text = v.Tag
		err = gitops.CheckTag("", text)
	case "digest", "digestHex":
		text = v.Digest
		if err = gitops.CheckDigest("", text); variable == "digestHex" {
			text = strings.TrimPrefix(text, "sha256:")
			variable = "digest"
		}
	case "repository":
		text = v.Repository
		if !repositoryGrammar.MatchString(text) || len(text) > 255 {
			err = gitops.FieldErrorf("", "must be an image's name without tag and digest")
		}
	}
	switch {
	case text == "" && variable == "digest":
		return "", refuse(MissingValue, "the value needs the image's digest, and the update names none: order it with its digest, or set image under its environment, and the registry is asked for it")
	case text == "":
		return "", refuse(MissingValue, "the value needs the image's %s, and the update names none", variable)
	case err != nil:
		return "", refuse(NotRepresentable, "the %s cannot be written: %s", variable, gitops.PublicOf(err))
	}
	return text, nil
}
