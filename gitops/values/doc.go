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
// of lines for a new tag is one that nobody reads. So nothing is encoded here.
// Apply finds out where in the text the old value begins and ends, puts the new
// one between, and leaves every other byte as it is: comments, blank lines,
// indentation, line endings, anchors, document markers, the missing newline at
// the end.
//
//  1. The file is parsed by two readers: one for YAML 1.2, whose nodes know
//     their line and column, and the one that Helm has, for YAML 1.1. What either
//     rejects is refused.
//  2. The key selects a node. A key that is only steps (.image.tag) is followed
//     here; for any other yq evaluates it, and the way to its result is followed
//     again by exact keys. It must lead to exactly one scalar of one line.
//  3. The scalar must be one that may be written over; see below.
//  4. The new value is spelled so that both readers take it for a string: the
//     quotes that are there stay, and double quotes are added where the plain
//     text would be a number, a boolean or a date to any reader. A tag 1.10
//     without quotes is the number 1.1 to Helm, so setting 1.10 there is a change.
//  5. All spans are taken from the original text and spliced at once.
//  6. The result is parsed by both readers again. It must be the original with
//     the targets changed, and nothing else: node by node as it is written, and
//     value by value as Helm sees it. Otherwise it is dropped and refused.
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
//	select(.kind == "Deployment") | .spec.template.spec.containers[0].image
//	select(document_index == 1) | .image.tag
//
// Everything else of yq is rejected when it is compiled: a key selects, it does
// not compute, assign, or read files and the environment, and looking for it
// takes a few walks over the file at most. What a payload names never becomes
// part of a key; [Bind] puts the app's name and image from the configuration there.
//
// # What is refused
//
// Each [Refusal] has a sentence that says what to do. The file as a whole: over
// [MaxFile], not UTF-8 or with characters that readers break lines at
// differently, not YAML. The selection: nothing (with the nearest keys that are
// there), several, no scalar, a duplicate key, an alias, a key that is only there
// because of <<, an anchor that is used elsewhere. The spelling: blocks, values
// over several lines, explicit tags. The content: placeholders such as $TAG and
// {{ }}, text that is no image tag, a reference or a digest that the new value
// would drop, a digest beside the tag that would win over it. The new value: a
// template that wants what the update does not have.
//
// One use of an anchor is fine: a map that others merge (<<: *base) is a base
// that they follow, so a value in it can be set by its own key. Then the maps
// that inherit the value show the new one, and nothing else may change.
//
// # Creating a key
//
// A key that is not there is mostly a mistyped one, so it is refused unless
// [Target.Create] is set. Then one line is added to the map it belongs in, below
// the image's repository or name; that map itself, lists, documents and files are
// never made.
package values
