package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"

	"github.com/tallyman-dev/tallyman/server/audit"
	"github.com/tallyman-dev/tallyman/server/config"
)

// newAudit makes the recorder of what the store does not write down by itself.
func newAudit(c config.Config, m *metrics, logger *slog.Logger) *audit.Recorder {
	return audit.New(audit.Config{Logger: logger, Lost: m.auditLost, Now: now, Hash: configuration(c).Hash})
}

// startAudit writes down that the configuration changed, if it did, and what comes:
// refusals, and secrets that are replaced from now on. A store that is away keeps
// nothing from starting.
func (s *Server) startAudit() {
	s.audit.Configured(configuration(s.current().config))
	s.runUntilStop("audit", func(ctx context.Context) { s.audit.Run(ctx, s.store) })
	s.runUntilStop("secrets", newSecretWatch(s.secretFiles, s.logger, s.audit.Replaced).run)
}

func (s *Server) secretFiles() []secretFile { return namedSecrets(s.current().config) }

// configuration is what the audit compares of a configuration: the hash of each field of
// the file's top level, of each access rule, and of each environment. The file has no
// secrets, only the names of files with them.
func configuration(c config.Config) audit.Configuration {
	parts := make(map[string]string)
	fields := reflect.ValueOf(c)
	for i := range fields.NumField() {
		name, _, _ := strings.Cut(fields.Type().Field(i).Tag.Get("yaml"), ",")
		value := fields.Field(i)
		switch {
		case name == "environments":
			for _, key := range value.MapKeys() {
				parts[name+"."+key.String()] = hashOf(value.MapIndex(key).Interface())
			}
		case value.Kind() == reflect.Slice:
			for n := range value.Len() {
				parts[fmt.Sprintf("%s[%d]", name, n)] = hashOf(value.Index(n).Interface())
			}
		default:
			parts[name] = hashOf(value.Interface())
		}
	}
	return audit.Configuration{Hash: hashOf(parts), Parts: parts}
}

// hashOf is 16 digits of a value's hash: enough to tell one from the next.
func hashOf(value any) string {
	text, _ := json.Marshal(value) // the configuration is data, which is never an error
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}
