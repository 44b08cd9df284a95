package argocd

import (
	"net/url"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Ref names an Application of an instance.
type Ref struct {
	Project string
	// Namespace of the Application itself, not of what it deploys. "" is Argo CD's own, whose
	// name the answer tells.
	Namespace string
	Name      string
}

// String is PROJECT/NAMESPACE/NAME, or PROJECT/NAME without a namespace: as in Argo CD's RBAC.
func (r Ref) String() string {
	if r.Namespace == "" {
		return r.Project + "/" + r.Name
	}
	return r.Project + "/" + r.Namespace + "/" + r.Name
}

// maxName is the longest that Kubernetes allows a name to be.
const maxName = 253

// ParseRef reads PROJECT/NAME or PROJECT/NAMESPACE/NAME. Its error is [gitops.Invalid].
func ParseRef(text string) (Ref, error) {
	parts := strings.Split(text, "/")
	for _, part := range parts {
		if !isName(part) {
			parts = nil
		}
	}
	switch len(parts) {
	case 2:
		return Ref{Project: parts[0], Name: parts[1]}, nil
	case 3:
		return Ref{Project: parts[0], Namespace: parts[1], Name: parts[2]}, nil
	}
	return Ref{}, gitops.Errorf(gitops.Invalid, "%q is not an Application: write PROJECT/NAME, or PROJECT/NAMESPACE/NAME, "+
		"each of letters, digits, dots and hyphens", gitops.Clip(text, 300))
}

// isName reports whether Kubernetes takes a name.
func isName(name string) bool {
	return name != "" && len(name) <= maxName && name[0] != '.' && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-.") == ""
}

// query are the parameters that each request about the Application has. Without the
// namespace the Application of that name in another one would answer; without the project
// one that is not there would be 403.
func (r Ref) query() url.Values {
	q := url.Values{"project": {r.Project}}
	if r.Namespace != "" {
		q.Set("appNamespace", r.Namespace)
	}
	return q
}

// Page is where people see the Application.
func (c *Client) Page(r Ref) string {
	page := c.base.JoinPath("applications")
	if r.Namespace != "" {
		page = page.JoinPath(r.Namespace)
	}
	return page.JoinPath(r.Name).String()
}
