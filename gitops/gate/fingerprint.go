package gate

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// Fingerprint tells the freezes of an environment from others: it is another when one of
// them is, and the same in whatever place of the configuration they stand. "" is that of no
// freezes.
func (all *Freezes) Fingerprint(environment string) string {
	var of []FreezeConfig
	for _, f := range all.of(environment, "") {
		f.Field = ""
		of = append(of, f.FreezeConfig)
	}
	if len(of) == 0 {
		return ""
	}
	text, err := json.Marshal(of)
	if err != nil {
		panic(err) // it has texts alone
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}
