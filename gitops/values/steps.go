package values

import (
	"strconv"

	"github.com/mikefarah/yq/v4/pkg/yqlib"

	"github.com/tallyman-dev/tallyman/gitops"
)

// spelling writes an expression in one way, however it was written: .image.tag,
// .image["tag"] and .image | .tag are the same.
func spelling(n *yqlib.ExpressionNode) string {
	if n == nil {
		return ""
	}
	switch op := n.Operation; op.OperationType.Type {
	case "SELF":
		return ""
	case "TRAVERSE_PATH":
		return "." + strconv.Quote(op.StringValue)
	case "PIPE", "SHORT_PIPE":
		return spelling(n.LHS) + spelling(n.RHS)
	case "TRAVERSE_ARRAY":
		if isLiteral(n.RHS.RHS) {
			return spelling(n.LHS) + "." + strconv.Quote(n.RHS.RHS.Operation.StringValue)
		}
		return spelling(n.LHS) + "[]"
	default:
		literal := ""
		if isLiteral(n) {
			literal = strconv.Quote(op.StringValue)
		}
		return op.OperationType.Type + "(" + spelling(n.LHS) + literal + "," + spelling(n.RHS) + ")"
	}
}

// SameKey returns a text that is the same for two keys that are different
// spellings of one, as .image.tag and .image["tag"] are. Two keys with different
// texts can still select the same value of a file.
func SameKey(text string) (string, error) {
	k, err := parseKey(text)
	if err != nil {
		return "", gitops.FieldErrorf("key", "%s", err)
	}
	return spelling(k.all.tree), nil
}

// plainSteps flattens a tree that only goes from key to key.
func plainSteps(n *yqlib.ExpressionNode) ([]string, bool) {
	if n == nil {
		return nil, true
	}
	switch op := n.Operation; op.OperationType.Type {
	case "SELF":
		return nil, true
	case "TRAVERSE_PATH":
		return []string{op.StringValue}, !isGlob(op.StringValue)
	case "PIPE", "SHORT_PIPE":
		left, leftPlain := plainSteps(n.LHS)
		right, rightPlain := plainSteps(n.RHS)
		return append(left, right...), leftPlain && rightPlain
	case "TRAVERSE_ARRAY":
		steps, plain := plainSteps(n.LHS)
		step := n.RHS.RHS.Operation.StringValue
		return append(steps, step), plain && isLiteral(n.RHS.RHS) && !isGlob(step)
	}
	return nil, false
}

// plainPrefix is the steps of a tree up to the first that needs looking.
func plainPrefix(n *yqlib.ExpressionNode) []string {
	if steps, plain := plainSteps(n); plain {
		return steps
	}
	switch n.Operation.OperationType.Type {
	case "PIPE", "SHORT_PIPE":
		left, plain := plainSteps(n.LHS)
		if !plain {
			return plainPrefix(n.LHS)
		}
		return append(left, plainPrefix(n.RHS)...)
	case "TRAVERSE_ARRAY":
		return plainPrefix(n.LHS)
	}
	return nil
}

// splitLast takes the last named step off a tree.
func splitLast(n *yqlib.ExpressionNode) (parent *yqlib.ExpressionNode, last string, ok bool) {
	if n == nil {
		return nil, "", false
	}
	switch op := n.Operation; op.OperationType.Type {
	case "TRAVERSE_PATH":
		return nil, op.StringValue, true
	case "TRAVERSE_ARRAY":
		if n.RHS.RHS.Operation.OperationType.Type == "STRING_INT" {
			return n.LHS, n.RHS.RHS.Operation.StringValue, true
		}
	case "PIPE", "SHORT_PIPE":
		right, last, ok := splitLast(n.RHS)
		if right == nil {
			return n.LHS, last, ok
		}
		return &yqlib.ExpressionNode{Operation: n.Operation, LHS: n.LHS, RHS: right}, last, ok
	}
	return nil, "", false
}
