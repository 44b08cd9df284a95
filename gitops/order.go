package gitops

import "strconv"

// Order asks for one image tag in one environment of one app, by name. It comes
// from a person or a CI job, so what is wrong with it is told to them, in the
// names that they used.
type Order struct {
	App, Environment, Tag, Digest string
	Revision                      string // as of [Update.Revision]

	// Within is the object that holds the fields app, env, tag, digest and sha:
	// "client_payload". Where it is empty they are fields of the body, and the
	// environment's is called environment, and the revision's revision.
	Within string
	// AppPlace and EnvironmentPlace are where the name is in its sender's list, from 1.
	// They are 0 where the sender gave one name.
	AppPlace, EnvironmentPlace int
}

// Field is what the sender of an order calls its field app, env, tag, digest or sha.
func (o Order) Field(name string) string {
	place := 0
	switch name {
	case "app":
		place = o.AppPlace
	case "env":
		place = o.EnvironmentPlace
		if o.Within == "" {
			name = "environment"
		}
	case "sha":
		if o.Within == "" {
			name = "revision"
		}
	}
	if o.Within != "" {
		name = o.Within + "." + name
	}
	if place > 0 {
		name += "[" + strconv.Itoa(place-1) + "]"
	}
	return name
}
