package schema

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"slices"
	"testing"
)

var update = flag.Bool("update", false, "write the schema anew, here and in the chart")

const chartSchema = "../../../deploy/helm/tallyman/values.schema.json"

// chartWrites are the fields that the chart writes, so that its values do not have
// them.
var chartWrites = []string{"listen", "adminListen", "probeListen", "store", "storePasswordFile", "backup", "shutdown"}

// TestSchemaIsOfTheConfiguration holds the schema, and the part of it that the chart
// has, to the types of package config.
func TestSchemaIsOfTheConfiguration(t *testing.T) {
	source := readSource(t)
	whole := source.of(source.types["Config"])
	whole.Schema, whole.Title = "https://json-schema.org/draft/2020-12/schema", "tallyman.yaml"
	hold(t, "tallyman.schema.json", JSON, indented(t, whole))

	text, err := os.ReadFile(chartSchema)
	if err != nil {
		t.Fatal(err)
	}
	hold(t, chartSchema, text, withConfig(t, text, forChart(whole)))
}

// forChart is the schema of what is left for the chart's users to say. What is missing
// the chart says itself, or the program.
func forChart(whole schema) schema {
	whole.Schema, whole.Title, whole.Required = "", "", nil
	whole.Description = "tallyman.yaml; see docs/configuration.md"
	whole.Properties = maps.Clone(whole.Properties)
	maps.DeleteFunc(whole.Properties, func(name string, _ schema) bool { return slices.Contains(chartWrites, name) })
	for _, name := range chartWrites { // which the chart refuses, in words of its own
		whole.Properties[name] = schema{}
	}
	return whole
}

// withConfig is a schema of the chart's values with another one in the place of config.
func withConfig(t *testing.T, text []byte, config schema) []byte {
	t.Helper()
	var parsed struct {
		Schema     string          `json:"$schema"`
		Title      string          `json:"title"`
		Type       string          `json:"type"`
		Others     bool            `json:"additionalProperties"`
		Properties json.RawMessage `json:"properties"`
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&parsed); err != nil {
		t.Fatal(err)
	}
	var properties map[string]json.RawMessage
	if err := json.Unmarshal(parsed.Properties, &properties); err != nil {
		t.Fatal(err)
	}
	before := properties["config"]
	if before == nil {
		t.Fatal("the chart has no config")
	}
	return bytes.Replace(text, before, bytes.TrimSpace(indentedAt(t, config, "    ")), 1)
}

func indented(t *testing.T, v any) []byte { return indentedAt(t, v, "") }

func indentedAt(t *testing.T, v any, prefix string) []byte {
	t.Helper()
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent(prefix, "  ")
	if err := encoder.Encode(v); err != nil {
		t.Fatal(err)
	}
	return text.Bytes()
}

// hold compares a file with what it should be, or writes it.
func hold(t *testing.T, path string, got, want []byte) {
	t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	if *update {
		writeFile(t, path, want)
		return
	}
	t.Errorf("%s is not what package config says: go test ./server/config/schema -update", path)
}
