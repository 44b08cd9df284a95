// Package gitops is tallyman's domain: what was released, what that asks of the
// manifest repository, and the result.
//
// The words, in the order an event meets them:
//
//   - A [Delivery] is one inbound event as received. It is kept whatever became
//     of it, so that "why did nothing happen?" always has an answer.
//   - An [Update] is what a delivery asks for: one image in one app in one
//     environment. A delivery means several updates, one, or none.
//   - An environment's updates wait in its lane, in acceptance order, and one
//     writer at a time turns each into its own commit, or a batch into one.
//   - A [Transition] says what happened to an update; one table says which can.
//   - A [Head] is what is known of one app in one environment, for ever.
//
// The package imports only the standard library and does no I/O; everything
// else in the program speaks in its terms.
package gitops
