package gitserver

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// Shape is a manifest repository of a size: charts/<app>/values-<env>.yaml for
// every app and environment, and a history of one-line bumps.
type Shape struct {
	Apps         int      // named app-0000 and so on
	Environments []string // of each app
	Commits      int      // in all; the first adds every file
}

// App is the name of the n-th app of a shape, counted from zero.
func App(n int) string { return fmt.Sprintf("app-%04d", n) }

// ValuesFile is where a shape keeps the values of an app in an environment.
func ValuesFile(app, environment string) string {
	return fmt.Sprintf("charts/%s/values-%s.yaml", app, environment)
}

// Values is a values file like those that people keep, with the image tag given.
func Values(app, environment, tag string) string {
	return fmt.Sprintf(`# %[1]s in %[2]s
replicaCount: 2

image:
  repository: 123456789012.dkr.ecr.ap-northeast-2.amazonaws.com/%[1]s
  tag: "%[3]s" # written by the release bot
  pullPolicy: IfNotPresent

service:
  type: ClusterIP
  port: 8080

resources:
  requests: {cpu: 100m, memory: 128Mi}
  limits: {memory: 256Mi}

env:
  - name: ENVIRONMENT
    value: %[2]s
`, app, environment, tag)
}

// Generate fills an empty repository's main branch with the shape and packs it,
// as a host would have it. It takes about half a second per 1,000 commits.
func (r *Repository) Generate(s Shape) error {
	command := exec.Command("git", "fast-import", "--quiet")
	command.Dir = r.Dir
	command.Env = isolated()
	var errs strings.Builder
	command.Stderr = &errs
	in, err := command.StdinPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	s.write(in)
	if err := in.Close(); err != nil {
		return err
	}
	if err := command.Wait(); err != nil {
		return fmt.Errorf("git fast-import: %w: %s", err, errs.String())
	}
	_, err = r.Git("repack", "-adq", "--write-bitmap-index")
	return err
}

// write streams the history to fast-import. A write that fails shows in
// fast-import's own exit.
func (s Shape) write(to io.Writer) {
	w := bufio.NewWriterSize(to, 1<<20)
	began := time.Now().Add(-time.Duration(s.Commits+1) * time.Minute)
	for n := range max(s.Commits, 1) {
		app, environment := App(n%s.Apps), s.Environments[n%len(s.Environments)]
		message := fmt.Sprintf("chore: bump %s to main-%07x (%s)", app, n, environment)
		if n == 0 {
			message = "Every app in every environment"
		}
		fmt.Fprintf(w, "commit refs/heads/main\ncommitter A Person <person@example.com> %d +0000\n", began.Add(time.Duration(n)*time.Minute).Unix())
		fmt.Fprintf(w, "data %d\n%s\n", len(message), message)
		if n > 0 {
			writeFile(w, ValuesFile(app, environment), Values(app, environment, fmt.Sprintf("main-%07x", n)))
			continue
		}
		for a := range s.Apps {
			for _, environment := range s.Environments {
				writeFile(w, ValuesFile(App(a), environment), Values(App(a), environment, "main-0000000"))
			}
		}
	}
	_ = w.Flush()
}

func writeFile(w io.Writer, path, content string) {
	fmt.Fprintf(w, "M 100644 inline %s\ndata %d\n%s\n", path, len(content), content)
}
