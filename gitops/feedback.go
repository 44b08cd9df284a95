package gitops

// Feedback is what GitHub shows of an update, or why it shows nothing. Its JSON form is the
// API's.
type Feedback struct {
	Repository  string `json:"repository"`            // that the image was built from, owner/name
	Environment string `json:"environment,omitempty"` // of the Deployment
	Deployment  int64  `json:"deployment,omitempty"`  // its number; 0 where it was not made
	URL         string `json:"url,omitempty"`         // the page of the repository's Deployments
	Reason      string `json:"reason,omitempty"`      // why it was not made: a sentence without its full stop
}
