package queuetest

import "github.com/tallyman-dev/tallyman/gitops"

// tellImages makes a delivery one of a registry's event now and then, with or without a
// digest.
func (r *player) tellImages(d *gitops.Delivery) {
	if r.IntN(3) > 0 {
		return
	}
	d.Principal = r.one("push:eventbridge/1", "poll:registry.example", d.Principal)
	for i := range d.Updates {
		d.Updates[i].Digest = r.one("", digestA, digestA, digestB)
	}
}

// foundSome says of a transition, now and then, what was found before.
func (r *player) foundSome(t gitops.Transition) gitops.Transition {
	if r.IntN(3) > 0 {
		return t
	}
	return r.found(t, r.one(digestA, digestB), r.IntN(4) == 0)
}

// recordSome records images as a poll does.
func (r *player) recordSome() {
	var seen []gitops.SeenImage
	for range r.IntN(4) {
		image := r.image(r.one("app-0", "App-1"), r.one("1.2.0", "v2.0.0", "latest"), r.one("", digestA, digestB), gitops.DeliveryKey{})
		image.Named = r.IntN(4) == 0
		seen = append(seen, image)
	}
	r.recordImages(seen...)
}
