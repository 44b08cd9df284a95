// Package image says what a registry's answer means for an update: whether its image is
// there, is for the platforms that it must be for, and is the one that the tag has named
// before. It is pure.
package image

import (
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Rules are what an environment demands of images.
type Rules struct {
	Wait       time.Duration // how long an image is looked for that is not there, or not signed yet
	Platforms  []Platform    // that it must be for; none means any
	AllowMoved bool          // a tag may come to name another image
	SignedBy   *Key          // whose signature it must have; nil for none
	ECRSigned  bool          // ECR's managed signing must have signed it
}

// Question is what a registry is asked about a tag. Equal questions have one answer.
type Question struct {
	Repository string // image name without tag, as it is configured
	Tag        string
	Platforms  bool // which platforms it is for, and whether their manifests are there
	SignedBy   *Key // whether this key has signed it; nil to ask nothing
	ECRSigned  bool // whether ECR's managed signing has signed it
	// Thorough: where a HEAD says that it is absent, nothing else that could tell more is
	// spared: a GET of the manifest, ECR's archive. It is so before an update fails.
	Thorough bool
}

// Ask is what has to be asked about an update's image.
func (r Rules) Ask(u gitops.Update) Question {
	return Question{
		Repository: u.Repository, Tag: u.Tag,
		Platforms: len(r.Platforms) > 0, SignedBy: r.SignedBy, ECRSigned: r.ECRSigned,
	}
}
