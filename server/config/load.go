package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Load reads and checks the file at path. Every problem is reported at once,
// each as an Invalid error that names its field, joined.
func Load(path string) (Config, error) {
	text, err := readBounded(path)
	if err != nil {
		return Config{}, gitops.Errorf(gitops.NotFound, "the configuration file %s cannot be read", path).WithCause(err)
	}
	if len(text) > maxFile {
		return Config{}, gitops.Errorf(gitops.Invalid, "the configuration file %s has more than %d MiB: is it another file?", path, maxFile>>20)
	}
	return Parse(text)
}

// maxFile bounds a configuration, and how much of a device is read in its place.
// 10,000 apps take 2 MiB.
const maxFile = 16 << 20

// readBounded reads a file, or its beginning where it is too large.
func readBounded(path string) (text []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}

// Parse is [Load] of the file's text.
func Parse(text []byte) (Config, error) {
	document, err := readDocument(text)
	if err != nil {
		return Config{}, err
	}
	var c Config
	var d decoder
	d.decode("", document.Content[0], reflect.ValueOf(&c).Elem())
	if err := errors.Join(d.problems...); err != nil {
		return Config{}, err // checks of a half-read file would only confuse
	}
	incomplete := c.Backup.checkDirectory()
	c.setDefaults()
	return c, errors.Join(incomplete, c.check())
}

// readDocument returns the only document in a text. What stands after a second
// "---" would otherwise be left out without a word.
func readDocument(text []byte) (yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document, second yaml.Node
	err := decoder.Decode(&document)
	if errors.Is(err, io.EOF) || err == nil && len(document.Content) == 0 {
		return document, gitops.Errorf(gitops.Invalid, "the configuration is empty")
	}
	if err == nil {
		err = decoder.Decode(&second)
		if err == nil {
			return document, gitops.Errorf(gitops.Invalid, "the configuration has a second document (line %d): it must be one", second.Line)
		}
	}
	if !errors.Is(err, io.EOF) {
		return document, gitops.Errorf(gitops.Invalid, "the configuration is not YAML: %v", err)
	}
	return document, nil
}

// decoder walks the YAML beside the Go type. The YAML library would name the
// line of a problem but not its field.
type decoder struct {
	problems []error
}

func (d *decoder) report(field string, node *yaml.Node, format string, args ...any) {
	if field == "" {
		field = "the configuration"
	}
	d.problems = append(d.problems, gitops.FieldErrorf(field, "%s (line %d)", fmt.Sprintf(format, args...), node.Line))
}

func (d *decoder) decode(field string, node *yaml.Node, into reflect.Value) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if missing, ok := fillIn(node); ok {
		d.report(field, node, "is not filled in yet: %s", missing)
		return
	}
	if narrows.MatchString(field) && isNothing(node) {
		d.report(field, node, "has no value, which allows more and not less: write one, or leave the field out")
		return
	}
	if node.Kind == yaml.ScalarNode && node.Tag == "!!null" {
		return // "key:" with nothing behind it is as good as left out
	}
	if d.decodeNamed(field, node, into) {
		return
	}
	switch into.Kind() {
	case reflect.Pointer:
		into.Set(reflect.New(into.Type().Elem()))
		d.decode(field, node, into.Elem())
	case reflect.Struct:
		d.decodeStruct(field, node, into)
	case reflect.Map:
		d.decodeMap(field, node, into)
	case reflect.Slice:
		if node.Kind != yaml.SequenceNode {
			d.report(field, node, "must be a list")
			return
		}
		into.Set(reflect.MakeSlice(into.Type(), len(node.Content), len(node.Content)))
		for i, item := range node.Content {
			d.decode(fmt.Sprintf("%s[%d]", field, i), item, into.Index(i))
		}
	case reflect.String:
		// A number or a date where text belongs is text that lost its quotes.
		if why := notText(node); why != "" {
			d.report(field, node, "%s", why)
			return
		}
		into.SetString(node.Value)
	default:
		if err := node.Decode(into.Addr().Interface()); err != nil {
			d.report(field, node, "must be %s", kindName(into.Type()))
		} else if into.CanInt() {
			d.refuseZero(field, node, into.Int())
		}
	}
}

// refuseZero reports a 0: whoever writes it means none, off or without a bound, and
// would get the default.
func (d *decoder) refuseZero(field string, node *yaml.Node, n int64) {
	if n == 0 {
		d.report(field, node, "is 0: give a value, or leave the field out for its default")
	}
}

// narrows are the fields that say who may do what, and for how long, which images are
// written, and whether somebody must merge it. Without one more is allowed, so whoever wrote it and no value, as a template does
// whose own value is missing, did not mean to leave it out.
var narrows = regexp.MustCompile(`^(access|api\.tokens)\[|^environments\..+\.(write|image(\.(platforms|moved|signedBy|ecrSigning))?)$`)

func isNothing(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && (node.Tag == "!!null" || strings.TrimSpace(node.Value) == "" || node.Tag == "!!int" && node.Value == "0")
}

func (d *decoder) decodeStruct(field string, node *yaml.Node, into reflect.Value) {
	if node.Kind != yaml.MappingNode {
		d.report(field, node, "must be a map with some of: %s", strings.Join(fieldNames(into.Type()), ", "))
		return
	}
	names := fieldNames(into.Type())
	d.eachPair(field, node, func(path string, key, value *yaml.Node) {
		i := slices.Index(names, key.Value)
		if i < 0 {
			if where := movedTo(path); where != "" {
				d.report(path, key, "has moved: %s", where)
			} else {
				d.report(path, key, "is not a field; there are %s", strings.Join(names, ", "))
			}
			return
		}
		d.decode(path, value, into.Field(i))
	})
}

func (d *decoder) decodeMap(field string, node *yaml.Node, into reflect.Value) {
	if node.Kind != yaml.MappingNode {
		d.report(field, node, "must be a map of names")
		return
	}
	into.Set(reflect.MakeMap(into.Type()))
	d.eachPair(field, node, func(path string, key, value *yaml.Node) {
		item := reflect.New(into.Type().Elem()).Elem()
		d.decode(path, value, item)
		into.SetMapIndex(reflect.ValueOf(key.Value), item)
	})
}

func (d *decoder) eachPair(field string, node *yaml.Node, do func(path string, key, value *yaml.Node)) {
	seen := make(map[string]bool)
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		if key.Kind != yaml.ScalarNode {
			d.report(field, key, "has a key that is not plain text")
			continue
		}
		path := strings.TrimPrefix(field+"."+key.Value, ".")
		if seen[key.Value] {
			d.report(path, key, "is given twice")
			continue
		}
		seen[key.Value] = true
		do(path, key, node.Content[i+1])
	}
}

func fieldNames(t reflect.Type) []string {
	names := make([]string, t.NumField())
	for i := range names {
		names[i] = t.Field(i).Tag.Get("yaml")
	}
	return names
}

func kindName(t reflect.Type) string {
	switch {
	case t.PkgPath() == "time" && t.Name() == "Duration":
		return "a duration such as 25s"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Int64:
		return "a whole number, without quotes"
	}
	return "a " + t.Kind().String()
}
