package discover

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What a pattern can have at most.
const (
	maxPattern   = 1024 // bytes
	maxSegments  = 32
	maxVariables = 3 // in one segment: the ways to read a name grow with each
)

// parsePattern takes a path's pattern apart. The error is a sentence about a field.
func parsePattern(pattern string) ([]segment, error) {
	if err := checkPath(pattern); err != nil {
		return nil, err
	}
	var segments []segment
	for text := range strings.SplitSeq(pattern, "/") {
		s, err := parseSegment(text)
		if err != nil {
			return nil, err
		}
		segments = append(segments, s)
	}
	return segments, nil
}

// checkPath refuses what no path from the repository's root has.
func checkPath(path string) error {
	switch {
	case len(path) > maxPattern || strings.Count(path, "/") >= maxSegments:
		return fmt.Errorf("must have at most %d bytes and %d names", maxPattern, maxSegments)
	case !utf8.ValidString(path) || strings.ContainsFunc(path, unicode.IsControl):
		return fmt.Errorf("must be UTF-8 without control characters")
	case strings.HasPrefix(path, "/"):
		return fmt.Errorf("must be a path from the repository's root: write it without the / before it")
	case strings.Contains(path, `\`):
		return fmt.Errorf(`must have / between its names, and no \`)
	case strings.HasSuffix(path, "/"):
		return fmt.Errorf("must be the path of a file: write the file's name behind the /")
	}
	for name := range strings.SplitSeq(path, "/") {
		switch {
		case name == "":
			return fmt.Errorf("has two / side by side: write one")
		case name == "." || name == "..":
			return fmt.Errorf("must not have %s: write the path from the repository's root", name)
		case strings.EqualFold(name, ".git"):
			return fmt.Errorf("must not lie in .git, which is not part of a branch")
		case len(name) > maxName:
			return fmt.Errorf("must have names of at most %d bytes", maxName)
		}
	}
	return nil
}

func parseSegment(text string) (segment, error) {
	s := segment{text: text}
	switch {
	case strings.Contains(text, "**"):
		return s, fmt.Errorf("must not have **, which only exclude knows: write a * for each directory, and an entry for each depth")
	case strings.ContainsAny(text, "?["):
		return s, fmt.Errorf("knows {app}, {env} and *, and not ? and [: write *")
	}
	for rest := text; rest != ""; {
		p, after, err := nextPiece(rest)
		if err != nil {
			return s, err
		}
		s.pieces = append(s.pieces, p)
		rest = after
	}
	variables := 0
	for i, p := range s.pieces {
		if p.kind == literal {
			continue
		}
		if variables++; i > 0 && s.pieces[i-1].kind != literal {
			return s, fmt.Errorf("has %s in %q, and nothing says where one ends and the other begins: put text between them, such as {app}-{env}, or a /",
				"two of {app}, {env} and * side by side", text)
		}
	}
	if variables > maxVariables {
		return s, fmt.Errorf("has more than %d of {app}, {env} and * in %q: use directories", maxVariables, text)
	}
	return s, nil
}

// nextPiece takes the first piece off a text.
func nextPiece(text string) (p piece, rest string, err error) {
	if rest, ok := strings.CutPrefix(text, "*"); ok {
		return piece{kind: star}, rest, nil
	}
	if rest, ok := strings.CutPrefix(text, "{"); ok {
		name, after, closed := strings.Cut(rest, "}")
		switch {
		case !closed:
			return p, "", fmt.Errorf("has a { without its }")
		case name == "app":
			return piece{kind: app}, after, nil
		case name == "env":
			return piece{kind: env}, after, nil
		}
		return p, "", fmt.Errorf("knows {app} and {env} in braces, and not {%s}", name)
	}
	end := strings.IndexAny(text, "*{")
	if end < 0 {
		end = len(text)
	}
	if strings.Contains(text[:end], "}") {
		return p, "", fmt.Errorf("has a } without its {")
	}
	return piece{kind: literal, text: text[:end]}, text[end:], nil
}

// parseExclude takes a glob of paths apart.
func parseExclude(glob string) (exclude, error) {
	if err := checkPath(glob); err != nil {
		return nil, err
	}
	if strings.ContainsAny(glob, "{}?[") {
		return nil, fmt.Errorf("knows * and **, and neither braces nor ? and [: write * where a name stands")
	}
	x := exclude(strings.Split(glob, "/"))
	for _, name := range x {
		if name != anyDepth && strings.Contains(name, anyDepth) {
			return nil, fmt.Errorf("has ** within %q: ** stands alone between two /", name)
		}
	}
	if !slices.ContainsFunc(x, func(name string) bool { return name != anyDepth }) {
		return nil, fmt.Errorf("leaves everything out: name a directory")
	}
	return x, nil
}

// expand fills {app} and {env} in a text, and leaves all else as it is. It is called for
// each target, so it makes no strings.Replacer, which costs much more.
func expand(template, app, environment string) string {
	var b strings.Builder
	b.Grow(len(template) + len(app) + len(environment))
	for {
		before, rest, found := strings.Cut(template, "{")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		if after, ok := strings.CutPrefix(rest, "app}"); ok {
			b.WriteString(app)
			template = after
		} else if after, ok := strings.CutPrefix(rest, "env}"); ok {
			b.WriteString(environment)
			template = after
		} else {
			b.WriteByte('{')
			template = rest
		}
	}
}
