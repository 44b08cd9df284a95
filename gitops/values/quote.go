package values

import (
	"regexp"
	"strings"

	yaml2 "go.yaml.in/yaml/v2"
	yaml "go.yaml.in/yaml/v4"
)

// What readers in the wild do to unquoted text, beyond what the two readers
// here say of it.
var (
	// plainGrammar leaves out whatever could be an indicator in block or flow style.
	plainGrammar = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9._/@:+-]*[A-Za-z0-9._/@+-])?$`)
	// The booleans and nulls of YAML 1.1, https://yaml.org/type/bool.html, which
	// only some readers still have.
	wordGrammar = regexp.MustCompile(`^(?i:y|n|yes|no|on|off|true|false|null)$`)
	// Integers in other bases, and floats: for some readers 7e3 needs no dot and
	// 1_0 is 10.
	radixGrammar    = regexp.MustCompile(`^0[xob][0-9A-Fa-f_+-]*$`)
	exponentGrammar = regexp.MustCompile(`^[0-9][0-9._]*[eE][+-]?[0-9_]+$`)
	// Digits and what may stand between them in numbers, dates and the base 60
	// integers of YAML 1.1.
	numeralGrammar = regexp.MustCompile(`^[0-9][0-9._:+-]*$`)
)

// spell writes a value in the file's language: JSON has quotes around all text.
func (s *source) spell(w want, old yaml.Style) string {
	switch {
	case w.typed:
		return w.text
	case s.json:
		old = yaml.DoubleQuotedStyle
	}
	return spell(w.text, old)
}

// style is how the scalar is written, or must be: what is in braces with its key
// in quotes is written like JSON, and something else may read it so.
func (p place) style() yaml.Style {
	if last := len(p.keys) - 1; last >= 0 && p.keys[last] != nil && p.parent().Style&yaml.FlowStyle != 0 && p.keys[last].Style&yaml.DoubleQuotedStyle != 0 {
		return p.node().Style | yaml.DoubleQuotedStyle
	}
	return p.node().Style
}

// likeJSON reports whether a map is written as JSON would be.
func likeJSON(m *yaml.Node) bool {
	return m.Kind == yaml.MappingNode && m.Style&yaml.FlowStyle != 0 && len(m.Content) > 0 && m.Content[0].Style&yaml.DoubleQuotedStyle != 0
}

// keepsType reports whether a text may be written in a value's place as the number or
// the truth value that it reads as.
func keepsType(n *yaml.Node, key, text string) bool {
	key = strings.ToLower(key)
	if strings.Contains(key, "tag") || strings.Contains(key, "version") || strings.Contains(key, "digest") {
		return false
	}
	switch n.ShortTag() {
	case "!!int", "!!float":
		return numberGrammar.MatchString(text)
	case "!!bool":
		return text == "true" || text == "false"
	}
	return false
}

// numberGrammar is what every reader takes for the same decimal number.
var numberGrammar = regexp.MustCompile(`^-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,6})?$`)

// spell writes text as a YAML scalar that every reader takes for that string.
// Quotes that are there stay; without any, it is written plain when that is
// safe and in double quotes when not.
func spell(text string, old yaml.Style) string {
	switch {
	case old&yaml.SingleQuotedStyle != 0:
		return "'" + strings.ReplaceAll(text, "'", "''") + "'"
	case old&yaml.DoubleQuotedStyle == 0 && plainIsString(text):
		return text
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

func plainIsString(text string) bool {
	switch {
	case !plainGrammar.MatchString(text),
		wordGrammar.MatchString(text),
		radixGrammar.MatchString(text),
		exponentGrammar.MatchString(text):
		return false
	case numeralGrammar.MatchString(text):
		// 1.2.3 is a version to everybody; 1.2 is a float, 1-2 may be half a date,
		// 1:2 is base 60.
		if strings.Count(text, ".") < 2 || strings.ContainsAny(text, "-:+") {
			return false
		}
	}
	var old, now any
	return yaml2.Unmarshal([]byte(text), &old) == nil && old == any(text) &&
		yaml.Unmarshal([]byte(text), &now) == nil && now == any(text)
}
