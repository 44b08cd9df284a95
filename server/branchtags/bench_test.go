package branchtags

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/guard"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// BenchmarkOneCommit is a look after one commit in a repository of 10,000 apps in 4
// environments, without what the view costs.
func BenchmarkOneCommit(b *testing.B) {
	edit, err := values.Compile([]values.Target{{Key: ".image.tag"}})
	if err != nil {
		b.Fatal(err)
	}
	var targets []Target
	files := make(map[string]string)
	for app := range 10_000 {
		for _, environment := range []string{"dev", "qa", "staging", "prod"} {
			path := fmt.Sprintf("charts/app-%04d/values-%s.yaml", app, environment)
			targets = append(targets, Target{Environment: environment, App: fmt.Sprintf("app-%04d", app), Files: []File{{path, edit}}})
			files[path] = "image: {tag: v1}\n"
		}
	}
	head := &one{files: files, changed: []string{"charts/app-5000/values-qa.yaml"}}
	c := New(targets, func(context.Context, time.Duration) (*one, error) {
		next := *head
		next.commit++
		head = &next
		return head, nil
	}, 0, guard.New(1<<30, slog.New(slog.DiscardHandler)))
	c.BranchTags(b.Context(), time.Time{})
	b.ReportAllocs()
	for b.Loop() {
		c.BranchTags(b.Context(), time.Time{})
	}
}

// one is a view in which the same file has always changed.
type one struct {
	commit  int
	files   map[string]string
	changed []string
}

func (v *one) AsOf() time.Time                      { return time.Now() }
func (v *one) Commit() string                       { return fmt.Sprint(v.commit) }
func (v *one) Changed(*one) ([]string, bool)        { return v.changed, true }
func (v *one) Object(path string) string            { return v.files[path] }
func (v *one) ReadFile(path string) ([]byte, error) { return []byte(v.files[path]), nil }
