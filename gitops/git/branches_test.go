package git

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
)

// A branch is created, moved and deleted, each only from where the request
// says it is; one request lists all branches with their commits.
func TestABranchIsMadeMovedAndDeleted(t *testing.T) {
	overEach(t, func(t *testing.T, newOrigin origins) {
		o := newOrigin(t)
		r := NewBreaker(time.Now).Guard(Watch(o.remote(), func() {}))
		o.git("branch", "tallymanly", "main")
		on := o.advertised(r, ReceivePack)
		commit := func(message string) (name Hash, pack []byte) {
			commit := fmt.Sprintf("tree %s\nparent %s\nauthor A <a@b> %d +0000\ncommitter A <a@b> %[3]d +0000\n\n%s\n", o.hash("main^{tree}"), on.Tip, time.Now().Unix(), message)
			draft := NewDraft()
			name = draft.Put(Object{KindCommit, []byte(commit)}, Base{})
			pack, err := new(PackWriter).Write(draft, true)
			if err != nil {
				t.Fatal(err)
			}
			return name, pack
		}
		name, pack := commit("Topic")
		moved, packOfMoved := commit("Topic, once more")
		const branch = "tallyman/prod/shop"
		push := func(from, to Hash, pack []byte) error {
			return r.Push(t.Context(), PushRequest{Branch: branch, Old: from, New: to, Pack: pack, Capabilities: on.Capabilities})
		}
		wants := func(what string, err error, taken bool, below map[string]Hash) {
			t.Helper()
			var no *Refusal
			var behind *BehindError
			if (err == nil) != taken || err != nil && !errors.As(err, &no) && !errors.As(err, &behind) {
				t.Errorf("%s: %v, want it taken: %t", what, err, taken)
			}
			for _, service := range []string{ReceivePack, UploadPack} {
				a, err := r.Refs(t.Context(), service, "main", "tallyman/", "none/")
				if err != nil || a.Tip != on.Tip {
					t.Errorf("%s: %s says that main is at %s, %v", what, service, a.Tip, err)
				}
				if diff := cmp.Diff(below, a.Below); diff != "" {
					t.Errorf("%s: %s says (-want +got):\n%s", what, service, diff)
				}
			}
		}
		there := map[string]Hash{branch: name}
		wants("a branch that does not exist is deleted", push(on.Tip, Hash{}, nil), false, nil)
		wants("it is made", push(Hash{}, name, pack), true, there)
		wants("it is made once more", push(Hash{}, on.Tip, pack), false, there)
		wants("it is deleted from another commit", push(on.Tip, Hash{}, nil), false, there)
		wants("it is moved from another commit", push(on.Tip, moved, packOfMoved), false, there)
		wants("it is moved", push(name, moved, packOfMoved), true, map[string]Hash{branch: moved})
		wants("it is deleted", push(moved, Hash{}, nil), true, nil)
		if a, err := r.Refs(t.Context(), ReceivePack, "main"); err != nil || a.Below != nil {
			t.Errorf("it lists %v without being asked, %v", a.Below, err)
		}
	})
}

// A server that does not offer to delete branches is not asked to.
func TestAServerThatDeletesNothing(t *testing.T) {
	var no *Refusal
	r := PushRequest{Branch: "tallyman/prod/shop", Old: Hash{1}, Capabilities: map[string]string{"report-status": ""}}
	if _, err := r.request(); !errors.As(err, &no) || gitops.CodeOf(PublicError(err)) != gitops.Rejected || !strings.Contains(err.Error(), "does not delete branches") {
		t.Errorf("asked: %v", err)
	}
	r.New = Hash{2}
	if _, err := r.request(); err != nil {
		t.Errorf("a branch that is moved: %v", err)
	}
}

// What is kept of an answer is bounded, however many branches there are.
func TestTooManyBranchesBelow(t *testing.T) {
	var b bytes.Buffer
	b.WriteString(line(hostTip.String() + " refs/heads/main\x00report-status\n"))
	long := strings.Repeat("x", 30_000)
	for n := range maxBelowBytes/len(long) + 1 {
		b.WriteString(line(fmt.Sprintf("%s refs/heads/tallyman/%04d%s\n", hostTip, n, long)))
	}
	b.WriteString("0000")
	_, err := readAdvertisement(bytes.NewReader(b.Bytes()), "main", []string{"tallyman/"})
	if gitops.CodeOf(err) != gitops.TooLarge || !strings.Contains(gitops.PublicOf(err), "whose name begins with tallyman/: delete those") {
		t.Errorf("got %v", err)
	}
	if a, err := readAdvertisement(bytes.NewReader(b.Bytes()), "main", nil); err != nil || a.Tip != hostTip {
		t.Errorf("without asking for them: %+v, %v", a, err)
	}
}
