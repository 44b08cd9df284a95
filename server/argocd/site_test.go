package argocd_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/logtest"
	"github.com/tallyman-dev/tallyman/server/argocd"
	"github.com/tallyman-dev/tallyman/server/argocd/argocdtest"
)

const (
	manifests = "https://github.com/myshop/myshop-manifests.git"
	image     = "registry.example/myshop-api"
	before    = "1111111111111111111111111111111111111111"
	ours      = "2222222222222222222222222222222222222222"
)

// site is a client and the Argo CD that it asks. It is made in the bubble that uses it.
type site struct {
	t        *testing.T
	argo     *argocdtest.Server
	client   *argocd.Client
	file     string
	token    string
	log      *logtest.Log
	recorder recorder
}

// newSite has a client ask through the RoundTripper, for projects myshop and others.
func newSite(t *testing.T, projects ...string) *site {
	t.Helper()
	s := &site{t: t, argo: argocdtest.New(t, nil), log: &logtest.Log{}, file: filepath.Join(t.TempDir(), "token")}
	projects = append([]string{"myshop"}, projects...)
	s.token = s.argo.Token(projects...)
	s.writeToken(s.token + "\n")
	s.client = s.connect(argocd.Config{URL: "https://argocd.myshop.example", Projects: projects, Via: s.argo})
	return s
}

func (s *site) connect(c argocd.Config) *argocd.Client {
	s.t.Helper()
	c.TokenFile, c.Logger, c.Recorder = s.file, slog.New(slog.NewTextHandler(s.log, nil)), &s.recorder
	client, err := argocd.New(c)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(client.Close)
	return client
}

func (s *site) writeToken(text string) {
	s.t.Helper()
	if err := os.WriteFile(s.file, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// app adds an Application of project myshop that runs v1.
func (s *site) app(name string, behaviour argocdtest.Behaviour) *argocdtest.Model {
	return s.argo.Add(argocdtest.App{
		Project: "myshop", Name: name, Image: image, Revision: before, Tag: "v1", Behaviour: behaviour,
		Sources: []argocdtest.Source{{RepoURL: manifests, Path: "charts/" + name, TargetRevision: "main", ValueFiles: []string{"values-dev.yaml"}}},
	})
}

func ref(name string) argocd.Ref {
	return argocd.Ref{Project: "myshop", Namespace: argocdtest.Namespace, Name: name}
}

// get reads an Application without a refresh.
func (s *site) get(name string) error {
	_, err := s.client.Application(context.Background(), ref(name), false)
	return err
}

// sees holds an Application to what Argo CD says of it.
func (s *site) sees(name, sync, revision, health string) {
	s.t.Helper()
	a, err := s.client.Application(context.Background(), ref(name), false)
	if err != nil {
		s.t.Fatal(err)
	}
	if st := a.Status; st.Sync.Status != sync || st.Sync.Revision != revision || st.Health.Status != health {
		s.t.Errorf("%s is %s %s %s, not %s %s %s", name, st.Sync.Status, st.Sync.Revision, st.Health.Status, sync, revision, health)
	}
}

// wants holds an error to a code and to words.
func wants(t *testing.T, err error, code gitops.Code, words ...string) *gitops.Error {
	t.Helper()
	var e *gitops.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("%v is not %s", err, code)
	}
	for _, word := range words {
		if !contains(e.Message, word) {
			t.Errorf("%q does not say %q", e.Message, word)
		}
	}
	return e
}

// recorder keeps what was counted.
type recorder struct {
	mu      sync.Mutex
	results map[string]int
	expires []time.Time
}

func (r *recorder) ArgoCDRequest(instance, result string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.results == nil {
		r.results = make(map[string]int)
	}
	r.results[instance+" "+result]++
}

func (r *recorder) ArgoCDTokenExpires(_ string, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expires = append(r.expires, at)
}

func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fmt.Sprint(r.results)
}
