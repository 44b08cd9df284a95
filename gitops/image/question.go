package image

// Question is what a registry is asked of a tag.
type Question struct {
	Repository, Tag string
	Platforms       bool // which platforms it is for
	SignedBy        *Key // whether the key signed it; nil: not asked
	ECRSigned       bool // whether ECR's managed signing did
	Thorough        bool // the last look before the deadline
}
