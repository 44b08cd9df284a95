package catalog

import (
	"errors"
	"fmt"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/policy"
	"github.com/tallyman-dev/tallyman/server/config"
)

// checkInspected holds every target against the image of its environment.
func (b *builder) checkInspected() error {
	var problems []error
	reported := make(map[string]bool)  // by field: one app or environment is enough
	called := make(map[string]*wanted) // by the image's one name: the first that has it
	for _, w := range b.all {
		if !w.ok || b.Config.Environments[w.Environment].Image == nil {
			continue
		}
		field, why := b.whyNotInspected(w)
		if why == "" {
			field, why = b.whyNotCalled(w, called)
		}
		switch {
		case why == "":
		case w.found != nil:
			b.refuse(w, "its repository "+why)
		case !reported[field]:
			reported[field] = true
			problems = append(problems, gitops.FieldErrorf(field, "%s", why))
		}
	}
	return errors.Join(problems...)
}

// whyNotInspected says why the environment's image cannot be had for a target, and the
// field at fault where the target is of the configuration; "" when nothing is wrong.
func (b *builder) whyNotInspected(w *wanted) (field, why string) {
	image := config.ImageField(w.Environment)
	switch {
	case w.Image == "":
		return b.repositoryField(w), fmt.Sprintf("is missing, and %s looks for the images of %s in their registry: name the app's image, or leave the app out of %s",
			image, w.Environment, w.Environment)
	case b.Config.Environments[w.Environment].Image.ECRSigning && !isECR(w.Image):
		return b.repositoryField(w), fmt.Sprintf("is %s, which is not in Amazon ECR, and %s.ecrSigning demands that ECR has signed the images of %s: leave ecrSigning out, or leave the app out of %[3]s",
			gitops.Clip(w.Image, 300), image, w.Environment)
	case b.Config.Environments[w.Environment].Image.Poll != 0 && !b.hasOrder(w):
		return b.repositoryField(w), fmt.Sprintf("is %s, whose registry does not say when an image was pushed, and the tags that %s takes have no order without semver: %s.poll could not tell which is the newest. Give the environment's or the app's tags semver, or leave poll out",
			gitops.Clip(w.Image, 300), w.Environment, image)
	}
	return "", ""
}

// whyNotCalled says why an image that is inspected cannot have the name that a target has for
// it: another target has it by another of its names. What is kept of images is kept by name,
// so a tag that moved under the one would be unknown under the other.
func (b *builder) whyNotCalled(w *wanted, called map[string]*wanted) (field, why string) {
	same := b.image(w.Image).same
	switch first := called[same]; {
	case first == nil:
		called[same] = w
	case first.Image != w.Image:
		return b.repositoryField(w), fmt.Sprintf("is %s, which %s in %s has as %s: where images are inspected, one image has one name. Write the same in both",
			gitops.Clip(w.Image, 300), first.App, first.Environment, gitops.Clip(first.Image, 300))
	}
	return "", ""
}

// hasOrder reports whether a poll can tell which of a target's tags is the newest: by their
// versions, or by when they were pushed, which only ECR says.
func (b *builder) hasOrder(w *wanted) bool {
	own := b.Config.Apps[w.App].Tags
	return isECR(w.Image) || b.Config.Environments[w.Environment].Tags.Semver != "" || own != nil && own.Semver != "" || w.Tags.Semver != ""
}

func isECR(repository string) bool {
	_, ok := policy.ParseECR(repository)
	return ok
}
