package values

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"strings"

	"github.com/mikefarah/yq/v4/pkg/yqlib"
)

// yq's settings are globals that it reads while it evaluates, so they are set
// here, before anything can, and never again. Most of what they turn off could
// not be reached anyway, because of what [checkSelection] admits.
func init() {
	yqlib.InitExpressionParser()
	yqlib.ConfiguredSecurityPreferences = yqlib.SecurityPreferences{DisableEnvOps: true, DisableFileOps: true}
	yqlib.ConfiguredYamlPreferences.FixMergeAnchorToSpec = true
	yqlib.StringInterpolationEnabled = false
	yqlib.GetLogger().SetLevel(slog.LevelError)
}

const (
	maxKey   = 1024 // bytes in an expression
	maxIndex = 9999 // yq makes every element up to an index before it looks there
	maxWild  = 4    // [] and globs: the work grows with the file's size for each
)

// key is a compiled expression that selects nodes.
type key struct {
	text string
	all  query
	// What the last step is taken from, and that step, for a key that ends in
	// one: where it would be created, and whose keys are the nearest.
	parent query
	last   string
}

// query is a yq expression tree. When that is only steps from the root, it has
// them too, and needs no evaluation.
type query struct {
	tree  *yqlib.ExpressionNode // nil selects the root
	steps []string
	plain bool
	names map[string]bool // of keys that it goes to or looks at
	wild  bool            // it goes to keys by a pattern
}

func parseKey(text string) (key, error) {
	switch {
	case strings.TrimSpace(text) == "":
		return key{}, errors.New("is missing")
	case len(text) > maxKey:
		return key{}, fmt.Errorf("is longer than %d bytes", maxKey)
	case strings.ContainsRune(text, '\\'):
		return key{}, errors.New("must not contain a backslash")
	case strings.Contains(text, "envsubst("):
		// yq's lexer writes to a global when it meets this.
		return key{}, errors.New("must only select, and not read the environment")
	}
	if err := checkBraces(text); err != nil {
		return key{}, err
	}
	tree, err := yqlib.ExpressionParser.ParseExpression(text)
	if err != nil {
		return key{}, notExpression(text, err)
	}
	if tree == nil {
		return key{}, errors.New("is an empty yq expression")
	}
	wild := 0
	if err := checkSelection(tree, &wild); err != nil {
		return key{}, err
	}
	if wild > maxWild {
		return key{}, fmt.Errorf("has more than %d of [] and *", maxWild)
	}
	k := key{text: text, all: newQuery(tree)}
	if parent, last, ok := splitLast(tree); ok && !isGlob(last) {
		k.parent, k.last = newQuery(parent), last
	}
	return k, nil
}

// checkSelection admits the operations that walk down from the root and choose
// by looking: nothing that computes, assigns, reads files or the environment, or
// costs more than a few walks over the file.
func checkSelection(n *yqlib.ExpressionNode, wild *int) error {
	switch op := n.Operation; op.OperationType.Type {
	case "SELF":
		return nil
	case "TRAVERSE_PATH":
		if strings.Contains(op.StringValue, `"`) {
			return errors.New(`has a quote without its other`)
		}
		if isGlob(op.StringValue) {
			*wild++
		}
		return nil
	case "PIPE", "SHORT_PIPE":
		if err := checkSelection(n.LHS, wild); err != nil {
			return err
		}
		return checkSelection(n.RHS, wild)
	case "TRAVERSE_ARRAY":
		if err := checkIndex(n, wild); err != nil {
			return err
		}
		return checkSelection(n.LHS, wild)
	case "SELECT":
		return checkCondition(n.RHS)
	}
	return notSelecting(n)
}

// checkCondition admits what may stand in select(...). Its paths have no
// wildcards and its right sides are literals, because yq compares every left
// with every right.
func checkCondition(n *yqlib.ExpressionNode) error {
	switch op := n.Operation; op.OperationType.Type {
	case "AND", "OR", "PIPE", "SHORT_PIPE":
		if err := checkCondition(n.LHS); err != nil {
			return err
		}
		return checkCondition(n.RHS)
	case "EQUALS", "NOT_EQUALS":
		if !isLiteral(n.RHS) {
			return errors.New("must compare with a literal on the right: .name == \"x\"")
		}
		return checkCondition(n.LHS)
	case "HAS", "CONTAINS", "TEST":
		if !isLiteral(n.RHS) {
			return fmt.Errorf("must give %s a literal", strings.ToLower(op.OperationType.Type))
		}
		if op.OperationType.Type == "TEST" {
			if _, err := regexp.Compile(n.RHS.Operation.StringValue); err != nil {
				return fmt.Errorf("has a wrong regular expression: %w", err)
			}
		}
		return nil
	case "NOT", "SELF", "GET_KEY", "GET_KIND", "GET_TAG", "GET_DOCUMENT_INDEX":
		return nil
	case "TRAVERSE_PATH", "TRAVERSE_ARRAY":
		wild := 0
		if err := checkSelection(n, &wild); err != nil {
			return err
		}
		if wild > 0 {
			return errors.New("must not have [] or * within select(...)")
		}
		return nil
	}
	return notSelecting(n)
}

func notSelecting(n *yqlib.ExpressionNode) error {
	return fmt.Errorf("must only select: paths, [n], [], | and select(...) with ==, !=, and, or, not, has, test, contains; not %s",
		strings.ToLower(n.Operation.OperationType.Type))
}

func isLiteral(n *yqlib.ExpressionNode) bool {
	t := n.Operation.OperationType.Type
	return t == "STRING_INT" || t == "VALUE"
}

func isGlob(step string) bool { return strings.ContainsAny(step, "*?") }

var indexGrammar = regexp.MustCompile(`^-?[0-9]+$`)

// checkIndex admits [], [7] and ["name"].
func checkIndex(n *yqlib.ExpressionNode, wild *int) error {
	collect := n.RHS
	if collect.Operation.OperationType.Type != "COLLECT" || collect.RHS == nil {
		return notSelecting(collect)
	}
	switch op := collect.RHS.Operation; op.OperationType.Type {
	case "EMPTY":
		*wild++
		return nil
	case "STRING_INT":
		if isGlob(op.StringValue) {
			*wild++
		}
		return nil
	case "VALUE":
		i, err := strconv.Atoi(op.StringValue)
		if err != nil || !indexGrammar.MatchString(op.StringValue) || i > maxIndex || i < -maxIndex {
			return fmt.Errorf("must have whole numbers up to %d as indexes", maxIndex)
		}
		return nil
	}
	return notSelecting(collect.RHS)
}

func newQuery(tree *yqlib.ExpressionNode) query {
	q := query{tree: tree}
	if q.steps, q.plain = plainSteps(tree); !q.plain {
		q.names = map[string]bool{}
		q.collectNames(tree)
	}
	return q
}

func (q *query) collectNames(n *yqlib.ExpressionNode) {
	if n == nil {
		return
	}
	q.names[n.Operation.StringValue] = true
	q.wild = q.wild || n.Operation.OperationType.Type == "TRAVERSE_PATH" && isGlob(n.Operation.StringValue)
	q.collectNames(n.LHS)
	q.collectNames(n.RHS)
}

// firstLine is a message without what follows its first line.
func firstLine(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	return text
}
