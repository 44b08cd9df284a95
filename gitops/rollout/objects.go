package rollout

import "time"

// The types of this file are what is read of Argo CD's answers: the fields that a verdict
// needs, and no others. They are as Argo CD 3.4.7 has them, and were recorded from it.

// Application is an Application of Argo CD.
type Application struct {
	Metadata  Metadata   `json:"metadata"`
	Spec      Spec       `json:"spec"`
	Status    Status     `json:"status"`
	Operation *Operation `json:"operation"` // it is about to begin, or runs
}

// Metadata names an object of Kubernetes.
type Metadata struct {
	Name              string     `json:"name"`
	Namespace         string     `json:"namespace"`
	DeletionTimestamp *time.Time `json:"deletionTimestamp"`
}

// Spec is what an Application asks for.
type Spec struct {
	Project     string      `json:"project"`
	Source      *Source     `json:"source"`
	Sources     []Source    `json:"sources"`
	Destination Destination `json:"destination"`
	SyncPolicy  *SyncPolicy `json:"syncPolicy"`
	// SourceHydrator takes the place of the sources: what is synced is rendered to another branch.
	SourceHydrator *struct {
		DrySource Source `json:"drySource"`
	} `json:"sourceHydrator"`
}

// Source is a place in a repository.
type Source struct {
	RepoURL        string `json:"repoURL"`
	Path           string `json:"path"`
	TargetRevision string `json:"targetRevision"`
	Chart          string `json:"chart"`
	Ref            string `json:"ref"`
	Helm           *struct {
		ValueFiles     []string `json:"valueFiles"`
		FileParameters []struct {
			Path string `json:"path"`
		} `json:"fileParameters"`
	} `json:"helm"`
	Directory *struct {
		Recurse bool `json:"recurse"`
	} `json:"directory"`
}

// Destination is a cluster and a namespace of it.
type Destination struct {
	Server    string `json:"server"`
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
}

// SyncPolicy says what happens by itself.
type SyncPolicy struct {
	Automated *struct {
		Enabled  *bool `json:"enabled"` // nil is true
		SelfHeal bool  `json:"selfHeal"`
	} `json:"automated"`
}

// Operation is one that is asked for.
type Operation struct {
	Sync        *SyncOperation `json:"sync"`
	InitiatedBy struct {
		Automated bool `json:"automated"` // and no person
	} `json:"initiatedBy"`
}

// SyncOperation is a sync that is asked for.
type SyncOperation struct {
	Revision  string   `json:"revision"`
	Revisions []string `json:"revisions"`
	DryRun    bool     `json:"dryRun"`
	Resources []struct {
		Kind string `json:"kind"`
		Name string `json:"name"`
	} `json:"resources"` // not empty: these alone
}

// Status is what Argo CD says of an Application.
type Status struct {
	Sync           Comparison      `json:"sync"`
	Health         Health          `json:"health"`
	Conditions     []Condition     `json:"conditions"`
	OperationState *OperationState `json:"operationState"`
	ReconciledAt   *time.Time      `json:"reconciledAt"`
	Resources      []Resource      `json:"resources"`
	SourceType     string          `json:"sourceType"`  // Helm, Kustomize, Directory, Plugin; "" where it is not known
	SourceTypes    []string        `json:"sourceTypes"` // of several sources
	Summary        struct {
		Images []string `json:"images"`
	} `json:"summary"`
}

// Comparison is the last one of git with the cluster.
type Comparison struct {
	Status    string   `json:"status"`   // Synced, OutOfSync, Unknown, or "" of an Application that is new
	Revision  string   `json:"revision"` // of an Application with one source
	Revisions []string `json:"revisions"`
}

// Health is a health and what it is of.
type Health struct {
	Status  string `json:"status"` // Healthy, Progressing, Degraded, Suspended, Missing or Unknown
	Message string `json:"message"`
}

// Condition is something that Argo CD complains of.
type Condition struct {
	Type    string `json:"type"` // such as ComparisonError
	Message string `json:"message"`
}

// OperationState is the last operation, or the one that runs.
type OperationState struct {
	Operation  Operation   `json:"operation"`
	Phase      string      `json:"phase"` // Running, Succeeded, Failed, Error or Terminating
	Message    string      `json:"message"`
	SyncResult *SyncResult `json:"syncResult"`
	StartedAt  time.Time   `json:"startedAt"`
	FinishedAt *time.Time  `json:"finishedAt"`
	RetryCount int         `json:"retryCount"`
}

// SyncResult is what a sync did.
type SyncResult struct {
	Revision  string     `json:"revision"`
	Revisions []string   `json:"revisions"`
	Resources []Resource `json:"resources"`
}

// Resource is an object of the Application.
type Resource struct {
	Group           string  `json:"group"`
	Kind            string  `json:"kind"`
	Namespace       string  `json:"namespace"`
	Name            string  `json:"name"`
	Status          string  `json:"status"` // Synced, OutOfSync, SyncFailed ...
	Message         string  `json:"message"`
	HookPhase       string  `json:"hookPhase"`
	HookType        string  `json:"hookType"`
	SyncPhase       string  `json:"syncPhase"`
	RequiresPruning bool    `json:"requiresPruning"`
	Hook            bool    `json:"hook"`
	Health          *Health `json:"health"`
}

// Tree is all that an Application's objects have made.
type Tree struct {
	Nodes []Node `json:"nodes"`
}

// Node is one object of it.
type Node struct {
	Group     string   `json:"group"`
	Version   string   `json:"version"`
	Kind      string   `json:"kind"`
	Namespace string   `json:"namespace"`
	Name      string   `json:"name"`
	UID       string   `json:"uid"`
	Images    []string `json:"images"`
	Health    *Health  `json:"health"`
	Info      []struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	} `json:"info"`
	ParentRefs []struct {
		Group string `json:"group"`
		Kind  string `json:"kind"`
		Name  string `json:"name"`
		UID   string `json:"uid"`
	} `json:"parentRefs"`
	CreatedAt *time.Time `json:"createdAt"`
}

// Managed is an object with its states as they are and as they are to be, in JSON.
type Managed struct {
	Group       string `json:"group"`
	Kind        string `json:"kind"`
	Namespace   string `json:"namespace"`
	Name        string `json:"name"`
	LiveState   string `json:"liveState"` // "null" where the cluster has it not
	TargetState string `json:"targetState"`
}

// Windows says whether a sync may happen now.
type Windows struct {
	CanSync bool `json:"canSync"`
}
