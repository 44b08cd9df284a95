package server

import (
	"regexp"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest"
	"github.com/tallyman-dev/tallyman/server/config"
)

// tagReader finds the tag that a file says: the other way round than an update
// sets it.
type tagReader struct {
	editor interface {
		Read(file []byte) ([]string, error)
	} // nil when no value holds a tag
	value   int            // which of the editor's values
	pattern *regexp.Regexp // of that value; its group is the tag
}

// newTagReader reads the first value that has a tag in it.
func newTagReader(editor manifest.Editor, sets config.Sets) tagReader {
	reader, ok := editor.(interface {
		Read(file []byte) ([]string, error)
	})
	if !ok {
		return tagReader{}
	}
	for i, set := range sets {
		if set.Value == "" {
			set.Value = "{tag}"
		}
		if strings.Contains(set.Value, "{tag}") {
			return tagReader{editor: reader, value: i, pattern: inverse(set.Value)}
		}
	}
	return tagReader{}
}

// inverse is the pattern of what a value's template makes. The grammar of tags is
// that of gitops.CheckTag.
func inverse(template string) *regexp.Regexp {
	pattern := regexp.QuoteMeta(template)
	pattern = strings.Replace(pattern, `\{tag\}`, `([A-Za-z0-9_][A-Za-z0-9._-]{0,127})`, 1)
	for _, other := range []string{`\{tag\}`, `\{digest\}`, `\{repository\}`} {
		pattern = strings.ReplaceAll(pattern, other, `.*`)
	}
	return regexp.MustCompile(`^` + pattern + `$`)
}

func (r tagReader) read(file []byte) (string, error) {
	if r.editor == nil {
		return "", gitops.Errorf(gitops.NotFound, "none of the values that are set has the tag in it")
	}
	texts, err := r.editor.Read(file)
	if err != nil {
		return "", err
	}
	text := texts[r.value]
	if text == "" {
		return "", nil
	}
	found := r.pattern.FindStringSubmatch(text)
	if found == nil {
		return "", gitops.Errorf(gitops.Invalid, "the file says %.200q, which holds no tag", text)
	}
	return found[1], nil
}
