package server

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/tallyman-dev/tallyman/server/config"
)

// What a start does before it opens anything, with 2,000 apps in 4 environments.
func BenchmarkConfiguration(b *testing.B) {
	secret := filepath.Join(b.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("the-secret-of-the-bench"), 0o600); err != nil {
		b.Fatal(err)
	}
	text := fmt.Appendf(nil, "store: sqlite:///nowhere/tallyman.db\nmanifests: {url: 'http://127.0.0.1/manifests'}\nsources: {github: {secretFiles: [%s]}}\nenvironments:\n", secret)
	for _, environment := range []string{"dev", "qa", "staging", "prod"} {
		text = fmt.Appendf(text, "  %s: {tags: {match: 'main-[0-9a-f]{7,40}'}}\n", environment)
	}
	text = append(text, "apps:\n"...)
	for n := range 2000 {
		text = fmt.Appendf(text, "  app-%d: {}\n", n)
	}
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := config.Parse(text); err != nil {
				b.Fatal(err)
			}
		}
	})
	c, err := config.Parse(text)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("build", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := build(c, slog.New(slog.DiscardHandler)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
