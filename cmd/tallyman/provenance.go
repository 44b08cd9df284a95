package main

import "github.com/tallyman-dev/tallyman/gitops"

// provenance says where a delivery came from, who requested it, and what
// authenticated it.
func provenance(d gitops.Delivery) string {
	text := "Received " + timestamp(d.ReceivedAt) + " UTC"
	if d.Remote != "" {
		text += " from " + d.Remote
	}
	if d.Recovered {
		text += ", fetched by tallyman after the sender failed to deliver it"
	}
	if d.Actor != "" {
		text += ". Requested by: " + d.Actor
	}
	if d.Credential != "" {
		text += ". Authenticated by: " + d.Credential
	}
	if !d.DecidedAt.IsZero() {
		text += ". Waited for an app until " + timestamp(d.DecidedAt) + " UTC"
	}
	return text
}
