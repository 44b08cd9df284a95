package argocd

// What tests know of the limits.
const (
	MaxRequests  = maxRequests
	MaxRefreshes = maxRefreshes
	Timeout      = timeout
	MaxObject    = maxObject
)
