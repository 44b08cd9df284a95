package rollout

import "testing"

func TestWhatPodsRunOfTheUpdate(t *testing.T) {
	const repository = "registry.myshop.example/api"
	s := Subject{Image: repository, Tag: "v2", Digest: "sha256:aa"}
	tree := Tree{}
	for name, images := range map[string][]string{
		"a": {repository + ":v2", "proxy:v9"}, "b": {repository + ":v2", repository + ":v1"},
		"c": {repository + ":v2@sha256:bb"}, "d": {"proxy:v9"}, "e": {repository + "@sha256:aa"},
	} {
		tree.Nodes = append(tree.Nodes, Node{Kind: "Pod", Name: name, UID: name, Images: images})
	}
	got := PodsOf(s, tree)
	if got.Ours != 2 || got.Another != 1 || got.ByDigest != 1 || got.Other != "api:v1" || len(got.Pods) != 4 {
		t.Errorf("got %+v", got)
	}
	if none := PodsOf(s, Tree{}); none.Ours+none.Another+none.ByDigest != 0 || none.Pods != nil {
		t.Errorf("of no pods: %+v", none)
	}
}
