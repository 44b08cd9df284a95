// Package schema is the JSON Schema of the configuration file, for editors and for the
// Helm chart. It is made of package config's types and their comments:
//
//	go test ./server/config/schema -update
package schema

import _ "embed"

// JSON is the schema, of draft 2020-12.
//
//go:embed tallyman.schema.json
var JSON []byte
