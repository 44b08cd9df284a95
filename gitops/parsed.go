package gitops

import "time"

// ParsedKind is what a [ParsedObject] is. The set is closed.
type ParsedKind string

const (
	ParsedFile ParsedKind = "file" // a file at the branch's tip
	ParsedPast ParsedKind = "past" // what a file said once
	ParsedPack ParsedKind = "pack" // what the git server sends of a commit
)

// ParsedKinds lists every [ParsedKind].
func ParsedKinds() []ParsedKind { return []ParsedKind{ParsedFile, ParsedPast, ParsedPack} }

// ParsedObject is something of the manifest repository that is parsed.
type ParsedObject struct {
	Object string     `json:"object"` // git's name of the file's content, or of the commit of a pack
	Kind   ParsedKind `json:"kind"`
	Path   string     `json:"path"` // of the file; of a pack the branch
}

// Suspect is an object that was being parsed when a process died.
type Suspect struct {
	ParsedObject
	Deaths int       `json:"deaths"` // how many processes died so, one after the other
	At     time.Time `json:"at"`     // when the last of them began to parse it; UTC
	Holder string    `json:"holder"` // that process
}

// SetAsideAfter is how many deaths set an object aside. One may be chance: a machine
// that fails, a neighbour that takes the memory, another object that was parsed at the
// same time. After the first it is parsed alone, so the second is its own.
const SetAsideAfter = 2

// SetAside reports whether the object is not parsed any more.
func (s Suspect) SetAside() bool { return s.Deaths >= SetAsideAfter }

// How long what the git server sends stays set aside: twice as long after each death.
const (
	setAsideFor  = 10 * time.Minute
	setAsideMost = 24 * time.Hour
)

// RetryAt is when what is set aside is parsed once more, alone; zero is never. A file
// waits for its next content. Without the branch's tip nothing can be written at all, so
// what is sent of it goes on by itself: while a slow server is fetched, two deaths may
// be chance.
func (s Suspect) RetryAt() time.Time {
	if s.Kind != ParsedPack || !s.SetAside() {
		return time.Time{}
	}
	wait := setAsideFor
	for n := SetAsideAfter; n < s.Deaths && wait < setAsideMost; n++ {
		wait *= 2
	}
	return s.At.Add(min(wait, setAsideMost))
}
