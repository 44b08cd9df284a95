package values

import (
	"fmt"
	"regexp"
	"strings"
)

var (
	quotedText  = regexp.MustCompile(`"[^"]*"`)
	bracesInKey = regexp.MustCompile(`\$?\{\{?\s*([\w.-]*)\s*\}?\}`)
	updateOnly  = regexp.MustCompile(`\{(environment|tag|digest|digestHex)\}`)
	barePath    = regexp.MustCompile(`^\$?\.?[A-Za-z_]`)
)

// checkBraces refuses braces that nothing fills in. No key that selects has any
// outside quotes, and within them only what an update would know, which a key
// cannot: it is made when the program starts.
func checkBraces(text string) error {
	braces := bracesInKey.FindString(quotedText.ReplaceAllString(text, `""`))
	if braces == "" {
		braces = updateOnly.FindString(text)
	}
	switch {
	case braces == "":
		return nil
	case strings.Contains(braces, "env"):
		return fmt.Errorf("knows {app}, {env} and {repository} in braces, and not %s: write {env}", braces)
	}
	return fmt.Errorf("knows {app}, {env} and {repository} in braces, and not %s", braces)
}

// notExpression says of a text that is not an expression how it may have been meant.
func notExpression(text string, err error) error {
	path := strings.TrimPrefix(strings.TrimPrefix(text, "$"), ".")
	if barePath.MatchString(text) && !strings.HasPrefix(text, ".") && simplePath.MatchString(path) {
		return fmt.Errorf("is not a yq expression: a path begins with a dot; write .%s", path)
	}
	return fmt.Errorf("is not a yq expression: %s", firstLine(err))
}

var simplePath = regexp.MustCompile(`^[\w.\[\]-]+$`)
