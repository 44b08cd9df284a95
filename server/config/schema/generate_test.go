package schema

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/values"
)

// schema is a JSON Schema, as far as one is needed here. Its fields are in the order
// in which they are written.
type schema struct {
	Schema      string            `json:"$schema,omitempty"`
	Title       string            `json:"title,omitempty"`
	Description string            `json:"description,omitempty"`
	Type        any               `json:"type,omitempty"`
	Pattern     string            `json:"pattern,omitempty"`
	Enum        []any             `json:"enum,omitempty"`
	OneOf       []schema          `json:"oneOf,omitempty"`
	Items       *schema           `json:"items,omitempty"`
	Properties  map[string]schema `json:"properties,omitempty"`
	Required    []string          `json:"required,omitempty"`
	Others      any               `json:"additionalProperties,omitempty"` // false, or a map's values
	Reload      string            `json:"x-reload,omitempty"`             // "restart" for what a running tallyman cannot change
}

// source is package config as it is written.
type source struct {
	t     *testing.T
	types map[string]ast.Expr
	docs  map[string]string // of types
}

func readSource(t *testing.T) source {
	t.Helper()
	s := source{t: t, types: make(map[string]ast.Expr), docs: make(map[string]string)}
	paths, err := filepath.Glob("../*.go")
	if err != nil || len(paths) == 0 {
		t.Fatalf("package config is not here: %v", err)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, declaration := range file.Decls {
			types, ok := declaration.(*ast.GenDecl)
			if !ok || types.Tok != token.TYPE {
				continue
			}
			for _, spec := range types.Specs {
				spec := spec.(*ast.TypeSpec)
				s.types[spec.Name.Name], s.docs[spec.Name.Name] = spec.Type, types.Doc.Text()
			}
		}
	}
	return s
}

// of is the schema of a type.
func (s source) of(expression ast.Expr) schema {
	switch e := expression.(type) {
	case *ast.StarExpr:
		return s.of(e.X)
	case *ast.ArrayType:
		items := s.of(e.Elt)
		return schema{Type: "array", Items: &items}
	case *ast.MapType:
		item := s.of(e.Value)
		if item.Type == "object" {
			item.Type = []string{"object", "null"} // a name with nothing behind it has no fields
		}
		return schema{Type: "object", Others: item}
	case *ast.StructType:
		return s.ofStruct(e)
	case *ast.SelectorExpr:
		if e.Sel.Name == "Duration" {
			return schema{Type: "string", Pattern: `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`}
		}
	case *ast.Ident:
		switch e.Name {
		case "string":
			return schema{Type: "string"}
		case "int64":
			return schema{Type: "integer"}
		case "bool":
			return schema{Type: "boolean"}
		case "Bytes":
			return schema{Type: "string", Pattern: `^[0-9]+(B|KiB|MiB|GiB)$`}
		case "Create":
			return schema{Enum: []any{true, false, "parents"}}
		case "Sets":
			return schema{OneOf: []schema{{Enum: asAny(values.Presets())}, s.of(s.types["Sets"])}}
		}
		if named, ok := s.types[e.Name]; ok {
			return s.of(named)
		}
	}
	s.t.Fatalf("there is no schema of %T %v: say here how it is written in the file", expression, expression)
	return schema{}
}

func (s source) ofStruct(e *ast.StructType) schema {
	all := schema{Type: "object", Properties: make(map[string]schema), Others: false}
	for _, field := range e.Fields.List {
		text, err := strconv.Unquote(field.Tag.Value)
		if err != nil {
			s.t.Fatal(err)
		}
		tag := reflect.StructTag(text)
		one := s.of(field.Type)
		if words := tag.Get("oneOf"); words != "" {
			one = schema{Enum: asAny(strings.Split(words, ","))}
		}
		doc, required := strings.CutSuffix(strings.Join(strings.Fields(field.Doc.Text()), " "), " Required.")
		one.Description, one.Reload = doc, tag.Get("reload")
		if all.Properties[tag.Get("yaml")] = one; required {
			all.Required = append(all.Required, tag.Get("yaml"))
		}
	}
	return all
}

func asAny(words []string) []any {
	all := make([]any, len(words))
	for i, word := range words {
		all[i] = word
	}
	return all
}

// writeFile replaces a generated file.
func writeFile(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
}
