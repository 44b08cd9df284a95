package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/cmd/tallyman-bench/ledger"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/server/oidc/oidctest"
	"github.com/tallyman-dev/tallyman/server/webhook/sns/snstest"
)

// The credentials of the soak that the benchmark has no use for.
const (
	soakAudience = "https://tallyman.example"
	bridgeKey    = "the-key-of-the-api-destination"
	opsToken     = "the-token-that-orders-in-the-soak"
	readToken    = "the-token-that-reads-in-the-soak-" // and a digit: one token for each reader
	readTokens   = 5                                   // with 20 streams each they have all that there are
	registry     = "123456789012.dkr.ecr.ap-northeast-2.amazonaws.com/"
)

// soakConfiguration switches everything on, with every limit as it is by default.
const soakConfiguration = `listen: 127.0.0.1:0
adminListen: 127.0.0.1:0
probeListen: 127.0.0.1:0
store: sqlite://%[1]s/tallyman.db
manifests:
  url: %[2]s
  credentials: {tokenFile: %[1]s/token}
sources:
  github: {secretFiles: [%[1]s/webhook-secret]}
  eventbridge: {secretFiles: [%[1]s/bridge-key]}
  sns: {topics: ["%[3]s"]}
api:
  oidc: {audience: "%[4]s", issuers: ["%[5]s"]}
  tokens:
    - {name: bench, file: %[1]s/api-token}
    - {name: ops, file: %[1]s/ops-token}
%[6]saccess:
  - {who: {dispatch: {repository: example/manifests, repositoryID: 1}}, may: [order], apps: ["*"], environments: [dev]}
  - {who: {push: {source: eventbridge, accounts: ["123456789012"]}}, may: [order], apps: ["*"], environments: [qa]}
  - {who: {push: {source: sns, accounts: ["123456789012"]}}, may: [order], apps: ["*"], environments: [qa]}
  - {who: {job: {repository: octo-org/octo-repo, repositoryID: 456789, ownerID: 123456, refs: [refs/heads/main]}}, may: [order], apps: ["*"], environments: [prod]}
  - {who: {token: ops}, may: [read, order]}
  - {who: {token: bench}, may: [read]}
%[7]senvironments:
`

// soak is one run.
type soak struct {
	*tallyman
	t          *testing.T
	b          *bench
	load       load
	issuer     *oidctest.Issuer
	amazon     *snstest.Amazon
	memory     confined
	repository *gitserver.Repository
	first      string    // commit
	from, to   time.Time // of the attack

	made    atomic.Int64 // updates
	writing sync.Mutex   // held by who makes a commit as another writer

	mu       sync.Mutex
	figures  soakFigures
	entries  []ledger.Entry
	answered []time.Duration // valid deliveries, from before the connection until the answer
	tips     []soakTip
}

// soakTip is where the branch was when a push had ended.
type soakTip struct {
	at     time.Time
	commit string
}

// newSoak starts a tallyman with everything on, confined as by the chart.
func newSoak(ctx context.Context, t *testing.T, l load) *soak {
	t.Helper()
	b, err := newBench(ctx, options{store: t.TempDir()}, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.close(); err != nil {
			t.Error(err)
		}
	})
	s := &soak{t: t, b: b, load: l, issuer: oidctest.New(t), amazon: snstest.New(t), memory: confine(t, 512<<20), figures: newSoakFigures()}
	s.repository, err = b.repository(l.size)
	s.must(err)
	s.first, err = s.repository.Git("rev-parse", "main")
	s.must(err)
	b.git.Heal() // the stage's own look at pushes
	b.git.Inject(gitserver.Fault{On: gitserver.Push, Times: -1, Replace: s.pushed})
	s.tallyman, err = b.start(ctx, setup{
		shape: shapes[l.size], repository: s.repository, files: s.files,
		within: s.memory.within, environment: append(serveAmazon(t, s.amazon), s.memory.environment...),
	})
	s.must(err)
	t.Cleanup(func() { _ = s.kill() }) // it has ended when the test succeeds
	return s
}

// pushed notes where the branch is, and lets git's answer through.
func (s *soak) pushed(answer []byte) []byte {
	tip, err := os.ReadFile(filepath.Join(s.repository.Dir, "refs", "heads", "main"))
	if err == nil {
		s.mu.Lock()
		s.tips = append(s.tips, soakTip{time.Now(), strings.TrimSpace(string(tip))})
		s.mu.Unlock()
	}
	return answer
}

// files are the configuration and the secrets that it names.
func (s *soak) files(dir string) map[string]string {
	files := map[string]string{"bridge-key": bridgeKey, "ops-token": opsToken}
	var tokens, rules string
	for n := range readTokens {
		name := fmt.Sprintf("reader-%d", n)
		files[name] = fmt.Sprint(readToken, n)
		tokens += fmt.Sprintf("    - {name: %s, file: %s}\n", name, filepath.Join(dir, name))
		rules += fmt.Sprintf("  - {who: {token: %s}, may: [read]}\n", name)
	}
	shape := shapes[s.load.size]
	var text strings.Builder
	fmt.Fprintf(&text, soakConfiguration, dir, s.repository.URL, snstest.Topic, soakAudience, s.issuer.URL, tokens, rules)
	for _, environment := range shape.Environments {
		fmt.Fprintf(&text, "  %s: {tags: {match: 'main-[0-9a-f]{7,40}'}}\n", environment)
	}
	text.WriteString("apps:\n")
	for n := range shape.Apps {
		fmt.Fprintf(&text, "  %[1]s: {repository: %[2]s%[1]s}\n", gitserver.App(n), registry)
	}
	files["tallyman.yaml"] = text.String()
	return files
}

func (s *soak) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// note changes what is shared, under the lock.
func (s *soak) note(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}
