package server

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/lane"
	"github.com/tallyman-dev/tallyman/server/api"
	"github.com/tallyman-dev/tallyman/server/secrettest"
)

// What is not configured any more has no series, whatever goes on of it: an alert on them
// would never end.
func TestReloadRemovesSeries(t *testing.T) {
	s, issuer := newJobSite(t)
	https := httptest.NewTLSServer(nil)
	https.Close()
	authority, next := filepath.Join(s.dir, "authority.pem"), filepath.Join(s.dir, "next-authority.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: https.Certificate().Raw})
	s.must(os.WriteFile(authority, text, 0o600))
	s.must(os.WriteFile(next, text, 0o600))
	s.edit("issuers: ['"+issuer.URL+"']", "issuers: ['"+issuer.URL+"'], caFile: "+authority)
	r := s.start()
	has := func(texts ...string) (found bool) {
		t.Helper()
	next:
		for series := range gather(t, r.Server) {
			for _, text := range texts {
				if !strings.Contains(series, text) {
					continue next
				}
			}
			found = true
		}
		return found
	}
	if !has("tallyman_credential_expiry", authority) || !has("tallyman_api_token_last_used", "board") || !has("tallyman_lane_backoff", "prod") {
		t.Fatal("what is configured has no series")
	}
	board := r.current().tokens[1]
	s.edit("caFile: "+authority, "caFile: "+next)
	s.edit("    - {name: board, file: "+s.dir+"/read-token}\n", "")
	s.edit("  - {who: {token: board}, may: [read]}\n", "")
	s.must(s.reload(r))
	r.metrics.credentials.Used(api.Token{Name: board.Name, File: board.File}, time.Now()) // by a request that began before
	r.metrics.lanes.forget("prod")
	r.metrics.lanes.BackingOff("prod", lane.Causes()[0], time.Minute) // of a lane that closes
	if has("tallyman_credential_expiry", authority) || has("tallyman_api_token_last_used", "board") || has("tallyman_lane_backoff", "prod") {
		t.Error("what is gone has a series")
	}
	if !has("tallyman_credential_expiry", next) {
		t.Error("what is new has none")
	}

	// What authenticates jobs stays as long as its authority does: the series tell of it.
	before := r.current().jobs
	s.must(s.reload(r))
	if r.current().jobs != before {
		t.Error("a reload fetches the issuers' keys again")
	}
	s.must(os.WriteFile(next, certificate(t), 0o600))
	s.must(s.reload(r))
	if r.current().jobs == before {
		t.Error("the authority's old certificate is trusted on")
	}
}

// certificate is a self-signed one.
func certificate(t *testing.T) []byte {
	t.Helper()
	key := secrettest.Key(t)
	made := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, made, made, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
