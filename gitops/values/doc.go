// Package values sets scalars in YAML files that people wrote, by changing only
// the bytes of those scalars.
//
// # The model
//
// A [Target] names one scalar by a yq expression and says what is written there.
// [Compile] turns targets into an [Edit]; [Edit.Apply] sets them in a file's
// text, all or none. There is no I/O here, and an Edit can be shared. A [File] is
// parsed once for several edits, and verified once after the last of them.
//
// A YAML library that decodes a file and encodes it again loses blank lines,
// indentation, quotes and comments in nine files of ten, and a diff of hundreds
// of lines for a new tag is not read by anyone. So nothing is encoded here.
// Apply finds out where in the text the old value begins and ends, puts the new
// one between, and leaves every other byte as it is: comments, blank lines,
// indentation, line endings, anchors, document markers, the missing newline at
// the end.
//
//  1. The file's size, its lines and what could be a value are counted before a
//     reader sees it: [Limits].
//  2. The file is parsed by two readers: one for YAML 1.2, whose nodes know their
//     line and column, and the one that Helm has, for YAML 1.1. What either rejects
//     is refused.
//  3. The key selects a node. A key that is only steps (.image.tag) is followed
//     here; for any other yq evaluates it, on the document with its aliases
//     replaced by what they stand for, and the way to its result is followed again
//     by exact keys. It must lead to exactly one scalar of one line.
//  4. The scalar must be one that may be written over; see below.
//  5. The new value is spelled so that both readers take it for a string: the
//     quotes that are there stay, and double quotes are added where the plain
//     text would be a number, a boolean or a date to any reader. A tag 1.10
//     without quotes is the number 1.1 to Helm, so setting 1.10 there is a change.
//     In JSON, and in braces written like JSON, text always has quotes.
//  6. All spans are taken from the original text and spliced at once.
//  7. The result is parsed by both readers again, and compared with the original
//     twice: path by path as each reader understands it, with aliases and merge
//     keys applied, and node by node as it is written. Exactly the targets' paths
//     may differ. Another path that would change is named, and the edit is refused.
//     A file that is JSON must still be JSON.
//
// There is no fallback. The few files where this cannot be done are those where
// a tool that goes on anyway edits the wrong place.
//
// # Keys
//
// A key may use paths (.image.tag, ."a.b", ["a/b"], [0], [-1]), [] and * as long
// as one scalar remains, | and select(...) with ==, !=, and, or, not, has, test
// and contains against literals, key, kind, tag and document_index:
//
//	.images[] | select(.name == "shop") | .newTag
//	select(.kind == "Deployment") | .spec.template.spec.containers[] | select(.name == "shop") | .image
//	select(document_index == 1) | .image.tag
//
// Everything else of yq is rejected when it is compiled: a key selects, it does
// not compute, assign, or read files and the environment, and looking for it
// takes a few walks over the file at most. What a payload names never becomes
// part of a key; [Bind] puts the app's name and image from the configuration there.
//
// [Invert] turns a key that names {app} or {env} around: it finds the names with which
// the key selects a value of a file.
//
// # What is refused
//
// Each [Refusal] has a sentence that says what was found, the rule, and the way
// out.
//
// The file as a whole: over its [Limits]; not UTF-8, or with characters
// that readers break lines at differently or reject; not YAML; one in which
// something authenticates the rest (a SOPS MAC, a signature, the digest of
// Chart.lock).
//
// The selection: nothing (with the nearest keys that are there), several, no
// scalar, a key that is there twice, an alias, a key that is only there because of
// <<, a value that other paths show, too, by an anchor or a merge. Keys, conditions
// and duplicates are judged by what an alias stands for.
//
// The spelling: blocks, values over several lines, explicit tags, a key without its
// colon.
//
// The content: text for another tool to fill in, in any of the ways that tools know
// it ($TAG, {{ }}, {% %}, #{ }#, #@ and others); text that is not an image tag; a
// reference to another image than the new value's, unless [Target.Replaces] lists
// it; a name, a tag or a digest that the new value would drop; a digest beside the
// tag that would win over it, whatever its key is called.
//
// The new value: a template that wants what the update does not have, or a digest
// that is not one.
//
// # Anchors
//
// One value under several paths (&tag, *tag, <<: *base) is refused with the names
// of these paths, because who orders one of them has not ordered the others. A
// merge that overrides the key does not show the value and does not count. Several
// targets are judged as one edit: an anchor and its aliases may all be targets.
// [Target.Anchor] lets the other paths follow, those that [Target.Follows] lists;
// [Result.Paths] names all that changed.
//
// # YAML inside YAML
//
// [Target.Inside] selects a literal block scalar, and the key then selects in its
// text. That is edited as a file is, through the block's indentation.
//
// # Creating a key
//
// A key that is not there is mostly a mistyped one, so it is refused unless
// [Target.Create] is set. Then one line is added to the map it belongs in, below
// the image's repository or name. [Target.CreateParents] adds the maps that lead to
// it, too. Lists, documents and files are never made.
package values
