package queue

// Scope is the part of a list that somebody may read: what the principal sent, and
// what is in one of the areas. Pages of a scope cost no more than others do for each
// of its areas; they are shorter than their limit, or empty, where another filter
// leaves out much of the scope.
type Scope struct {
	Principal string // gitops.Principal.ID; "" for nobody's
	Areas     []Area
}

// Area is an app in an environment. An empty name means all.
type Area struct{ Environment, App string }

// And is the part of the area that is in an environment and of an app; an empty name
// means all. It is false when there is none.
func (a Area) And(environment, app string) (part Area, ok bool) {
	part.Environment, ok = both(a.Environment, environment)
	if !ok {
		return Area{}, false
	}
	part.App, ok = both(a.App, app)
	return part, ok
}

func both(a, b string) (string, bool) {
	switch {
	case a == "":
		return b, true
	case b == "" || a == b:
		return a, true
	}
	return "", false
}

// Within are the areas in an environment and of an app that a reader of the scope may
// see; nil is the reader of everything.
func (s *Scope) Within(environment, app string) (areas []Area) {
	if s == nil {
		return []Area{{environment, app}}
	}
	for _, a := range s.Areas {
		if part, ok := a.And(environment, app); ok {
			areas = append(areas, part)
		}
	}
	return areas
}

// Sender is whose deliveries are in the scope whatever they ask for; "" for nobody's.
func (s *Scope) Sender() string {
	if s == nil {
		return ""
	}
	return s.Principal
}
