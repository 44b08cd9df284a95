package server

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/server/api"
	"github.com/tallyman-dev/tallyman/server/config"
)

// credentialMetrics say which tokens are used, and what will end: whoever replaces a
// token sees when the old one is used no longer. A token is named as in the
// configuration, and by its file, which tells two of a name apart; what else ends is
// named by its field.
type credentialMetrics struct {
	lastUsed, expiry *prometheus.GaugeVec

	mu    sync.Mutex           // held while series of a token are made or removed
	known map[tokenSeries]bool // the tokens that are configured
}

// tokenSeries are the labels of a token.
type tokenSeries struct{ name, file string }

func newCredentialMetrics(registry *prometheus.Registry) *credentialMetrics {
	m := &credentialMetrics{
		lastUsed: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tallyman_api_token_last_used_timestamp_seconds", Help: "When this process last accepted the token; 0 when it never did.",
		}, []string{"token", "file"}),
		expiry: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tallyman_credential_expiry_timestamp_seconds", Help: "When a token, a signing key or the certificates of an authority stop being valid; missing for what does not.",
		}, []string{"credential", "file"}),
	}
	registry.MustRegister(m.lastUsed, m.expiry)
	return m
}

// know makes the series of the configured credentials, and removes those of what the
// configuration before had: an alert on them would never end. A GitHub App's key has no
// end.
func (m *credentialMetrics) know(c config.Config, tokens []api.Token, logger *slog.Logger) {
	m.knowTokens(tokens)
	m.expiry.Reset()
	for _, t := range tokens {
		m.ends("token "+t.Name, t.File, t.Expires)
	}
	var err error
	authorities := make(map[string]string)
	for name, r := range c.ManifestRepositories() {
		field := config.RepositoryField(name)
		ends, signingErr := git.Signing(r.Signing).Expires(now())
		m.ends(field+".signing.openPGPKeyFile", r.Signing.OpenPGPKeyFile, ends)
		authorities[field+".caFile"] = r.CAFile
		err = errors.Join(err, signingErr)
	}
	for i, r := range c.Registries {
		authorities[config.RegistryField(i)+".caFile"] = r.CAFile
	}
	if c.API.OIDC != nil {
		authorities["api.oidc.caFile"] = c.API.OIDC.CAFile
	}
	for field, file := range authorities {
		ends, caErr := lastCertificateEnds(file)
		m.ends(field, file, ends)
		err = errors.Join(err, caErr)
	}
	if err != nil { // it could be read a moment ago
		logger.Warn("expiry of a credential unknown", slog.String("error", err.Error()))
	}
}

// knowTokens makes the series of the tokens, and removes those of others.
func (m *credentialMetrics) knowTokens(tokens []api.Token) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.known
	m.known = make(map[tokenSeries]bool)
	for _, t := range tokens {
		at := tokenSeries{t.Name, t.File}
		m.known[at] = true
		m.lastUsed.WithLabelValues(t.Name, t.File)
		delete(before, at)
	}
	for gone := range before {
		m.lastUsed.DeleteLabelValues(gone.name, gone.file)
	}
}

// ends makes the series of a credential that ends.
func (m *credentialMetrics) ends(credential, file string, at time.Time) {
	if !at.IsZero() {
		m.expiry.WithLabelValues(credential, file).Set(float64(at.Unix()))
	}
}

// lastCertificateEnds is when no certificate of a file is valid any more.
func lastCertificateEnds(file string) (last time.Time, err error) {
	if file == "" {
		return last, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return last, gitops.Errorf(gitops.Unavailable, "%s cannot be read", file).WithCause(err)
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err == nil && certificate.NotAfter.After(last) { // what is no certificate is none of the roots either
			last = certificate.NotAfter
		}
	}
	return last, nil
}

// Used notes that a token was accepted. A request that began before a reload may use one
// that is not configured any more.
func (m *credentialMetrics) Used(t api.Token, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known[tokenSeries{t.Name, t.File}] {
		m.lastUsed.WithLabelValues(t.Name, t.File).Set(float64(at.Unix()))
	}
}
