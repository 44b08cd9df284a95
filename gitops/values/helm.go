package values

import (
	"strconv"

	yaml2 "go.yaml.in/yaml/v2"
	yaml "go.yaml.in/yaml/v4"
)

// helmPath is the way to p in the terms of Helm's reader.
func helmPath(p place) []any {
	way := make([]any, 0, len(p.keys)+1)
	for i := range p.keys {
		if p.keys[i] == nil {
			way = append(way, p.index[i])
			continue
		}
		way = append(way, helmKey(meant(p.keys[i])))
	}
	return way
}

// helmKey is what Helm's reader makes of a key: to YAML 1.1, the key on is true.
func helmKey(k *yaml.Node) any {
	if k.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return k.Value
	}
	if simpleName.MatchString(k.Value) && !wordGrammar.MatchString(k.Value) {
		if _, err := strconv.ParseFloat(k.Value, 64); err != nil && (k.Value[0] < '0' || k.Value[0] > '9') {
			return k.Value
		}
	}
	var v any
	if err := yaml2.Unmarshal([]byte(k.Value), &v); err != nil {
		return k.Value
	}
	switch v.(type) {
	case map[any]any, []any:
		return k.Value
	}
	return v
}

// helmAt follows a way through a decoded document.
func helmAt(v any, way []any) (any, bool) {
	for _, step := range way {
		switch at := v.(type) {
		case map[any]any:
			next, ok := at[step]
			if !ok {
				return nil, false
			}
			v = next
		case []any:
			i, ok := step.(int)
			if !ok || i < 0 || i >= len(at) {
				return nil, false
			}
			v = at[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// helmDiffer collects the paths at which two documents differ, as Helm's reader
// sees them: it has applied aliases and merge keys already.
type helmDiffer struct{ *changes }

func diffHelm(before, after any) *changes {
	d := helmDiffer{&changes{}}
	d.compare(before, after)
	return d.changes
}

func (d helmDiffer) compare(before, after any) {
	if d.full() {
		return
	}
	switch b := before.(type) {
	case map[any]any:
		if a, ok := after.(map[any]any); ok {
			d.compareMaps(b, a)
			return
		}
	case []any:
		if a, ok := after.([]any); ok && len(a) == len(b) {
			for i := range b {
				d.push(i)
				d.compare(b[i], a[i])
				d.pop()
			}
			return
		}
	case nil:
		if a, ok := after.(map[any]any); ok && len(a) > 0 {
			d.compareMaps(nil, a) // an empty value that became a map
			return
		}
		if after == nil {
			return
		}
	case float64:
		if a, ok := after.(float64); ok && (b == a || b != b && a != a) { // .nan is not equal to itself
			return
		}
	default:
		if before == after {
			return
		}
	}
	d.record(helmLeaf{after}, isCollection(before))
}

func isCollection(v any) bool {
	switch v.(type) {
	case map[any]any, []any:
		return true
	}
	return false
}

func (d helmDiffer) compareMaps(before, after map[any]any) {
	for k, a := range after {
		d.push(k)
		if b, ok := before[k]; ok {
			d.compare(b, a)
		} else {
			d.added(a)
		}
		d.pop()
	}
	for k := range before {
		if _, ok := after[k]; !ok {
			d.push(k)
			d.record(nil, false)
			d.pop()
		}
	}
}

// added records what a new value has in it.
func (d helmDiffer) added(v any) {
	if m, ok := v.(map[any]any); ok && len(m) > 0 {
		d.compareMaps(nil, m)
		return
	}
	d.record(helmLeaf{v}, false)
}
