package gitops

// Inspection is what is known of the image of an update that is to be written. Exactly one
// of Looking, Present, Waits and Fails is set.
type Inspection struct {
	Looking bool   // not known yet
	Present bool   // it may be written
	Found   *Found // with Present: what is to be written with it; nil where the image was not inspected
	// Waits is of kind [BlockImage], by this process's clock. With an end it is the time
	// after which the image is looked for once more, and the update fails if it is not there;
	// that time is in the future. Without an end it lifts when the registry answers.
	Waits *Block
	Fails *Error // it is the update's own fault
}
