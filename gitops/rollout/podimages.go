package rollout

import "slices"

// PodImages counts what the current pods of a tree run of the update's repository.
type PodImages struct {
	Ours, Another int
	ByDigest      int    // pods whose image says by its digest alone what it is, and it is not known which tag that is
	Other         string // one of another tag, as people read it; "" without
	Pods          []Node // that have an image of the repository
}

// PodsOf looks through a tree for the update's image. Of a pod with several images of the
// repository the one that agrees least counts.
func PodsOf(s Subject, t Tree) PodImages {
	pods := newForest(t).currentPods()
	m := newMatcher(s, imagesOf(pods))
	var found PodImages
	for _, p := range pods {
		var matches []match
		for _, i := range p.Images {
			kind := m.match(i)
			if kind == another && found.Other == "" {
				found.Other = parseReference(i).String()
			}
			if kind != foreign {
				matches = append(matches, kind)
			}
		}
		if len(matches) == 0 {
			continue
		}
		found.Pods = append(found.Pods, p)
		switch {
		case slices.Contains(matches, another):
			found.Another++
		case slices.Contains(matches, byDigest):
			found.ByDigest++
		default:
			found.Ours++
		}
	}
	return found
}
