// Package test holds what is in deploy/ against the tools and schemas of those
// who will read it: Helm, promtool, actionlint, Terraform, the Kubernetes types,
// and the published definitions of Argo CD, Argo Rollouts, the Gateway API and the
// Prometheus operator. Nothing in it is checked by eye alone.
//
// It is a module of its own because the service needs none of these.
package test
