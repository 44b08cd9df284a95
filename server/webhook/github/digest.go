package github

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"strconv"
)

// digestOf is what an order's body counts once by. GitHub's signature covers the body
// and no header: whoever recorded a delivery could send it again under any id, and take
// an app back to an old release. So the same body of a repository counts once. White
// space does not make another one: a delivery that is fetched from GitHub's API is
// written with some.
func digestOf(d dispatch, payload []byte) []byte {
	var compact bytes.Buffer
	if err := json.Compact(&compact, payload); err != nil {
		return nil // a payload that was read is valid
	}
	hash := sha256.New()
	hash.Write([]byte("repository_dispatch\x00" + strconv.FormatInt(d.sender.RepositoryID, 10) + "\x00"))
	hash.Write(compact.Bytes())
	return hash.Sum(nil)
}
