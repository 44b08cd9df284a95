package ecrevent

// arrivals are the types of event that say that an image is in a registry now, with
// the action that each must have. ECR sends one of a replication in the account and
// region of the destination, so that these name the registry that has the image; the
// source is in the detail. The destination sends no push for it.
var arrivals = map[string]string{
	"ECR Image Action":       "PUSH",
	"ECR Replication Action": "REPLICATE",
}
