package image

import (
	"fmt"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// clock writes a time, with its date where that is not today's.
func clock(t, now time.Time) string {
	t, now = t.UTC(), now.UTC()
	if t.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return t.Format("15:04:05 UTC")
	}
	return t.Format("2006-01-02 15:04:05 UTC")
}

func (i inspection) notThereYet() string {
	return fmt.Sprintf("registry %s has no %s (404 since %s); given up at %s", hostOf(i.update), nameOf(i.update), clock(i.since, i.now), clock(i.until(), i.now))
}

func (i inspection) neverCame() string {
	return fmt.Sprintf("registry %s has no %s: looked for from %s to %s. Push it, then run: tallyman retry %s",
		hostOf(i.update), nameOf(i.update), clock(i.since, i.now), clock(i.answer.At, i.now), i.update.ID)
}

func (i inspection) notSignedYet() string {
	return fmt.Sprintf("%s in registry %s is not signed yet: %s (since %s); given up at %s",
		nameOf(i.update), hostOf(i.update), i.answer.Unsigned, clock(i.since, i.now), clock(i.until(), i.now))
}

func notSigned(u gitops.Update, why string) string {
	return fmt.Sprintf("%s in registry %s does not have the signature that environment %s demands: %s. Sign it%s",
		nameOf(u), hostOf(u), u.Environment, why, thenRetry(u))
}

// thenRetry is what remains to be done when the image is right. What is on a branch and is
// checked there has no update to retry.
func thenRetry(u gitops.Update) string {
	if u.ID == "" {
		return ""
	}
	return ", then run: tallyman retry " + u.ID
}

func archived(u gitops.Update) string {
	_, path := Split(u.Repository)
	return fmt.Sprintf("registry %s has %s in its archive, from where it cannot be pulled. Restore it, which takes up to 20 minutes: aws ecr update-image-storage-class --repository-name %s --image-id imageTag=%s --target-storage-class STANDARD%s",
		hostOf(u), nameOf(u), path, u.Tag, thenRetry(u))
}

func anotherDigest(u gitops.Update, digest string) string {
	return fmt.Sprintf("%s was ordered as %s, and in registry %s it is %s. Order it without a digest, or by the digest that is there: tallyman update %s %s --env %s --digest %s",
		nameOf(u), u.Digest, hostOf(u), digest, u.App, u.Tag, u.Environment, digest)
}

func movedWords(u gitops.Update, digest string, first gitops.SeenImage) string {
	by := "by a poll of the registry"
	if first.By != (gitops.DeliveryKey{}) {
		by = "by delivery " + first.By.String()
	}
	return fmt.Sprintf("%s has moved: in registry %s it is %s, and was %s when it was first seen at %s %s. Push what is new under a new tag, or order this image by its digest: tallyman update %s %s --env %s --digest %s",
		nameOf(u), hostOf(u), digest, first.Digest, first.At.UTC().Format("2006-01-02 15:04:05 UTC"), by, u.App, u.Tag, u.Environment, digest)
}

// Away says why an update waits for the image of a registry that does not answer. The error is the registry's.
func Away(u gitops.Update, err *gitops.Error, since, now time.Time) string {
	return fmt.Sprintf("cannot check %s in registry %s: %s (since %s); retrying", nameOf(u), hostOf(u), err.Public(), clock(since, now))
}

// NoRepository says why an update cannot be inspected whose app has no repository.
func NoRepository(u gitops.Update) string {
	return fmt.Sprintf("environment %s inspects images, and app %s had no repository when this update was accepted: set apps.%s.repository and order it again", u.Environment, u.App, u.App)
}
