package proposals

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/tallyman-dev/tallyman/gitops"
)

// What a pull request says follows from what is there: the wish, the topic's commit, the base
// branch and what the pull request says already. So a process that finds it writes the same.
//
// Foreign words are in backticks, where GitHub makes no mention, link or markup of them. The
// trailers come last, for a squash that takes the text for its message.

// Bounds of a text. GitHub takes 256 characters and 65,536.
const (
	maxTitle  = 250
	maxBody   = 60_000
	maxWord   = 300
	maxReason = 600
	maxLink   = 2_000
	maxList   = 10
)

// links are what wiring knows of an update beside what the branches say.
type links struct {
	compare string   // of the changes between the tags, in the app's own repository
	places  []string // of its tag: a file and a key
}

// sameAs reports whether two texts say the same: a forge may change how lines end.
func (t Text) sameAs(o Text) bool {
	plain := func(s string) string { return strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n")) }
	return plain(t.Title) == plain(o.Title) && plain(t.Body) == plain(o.Body) && slices.Equal(t.Labels, o.Labels)
}

// textOf is what the pull request of a wish says, whose commit is the topic's head.
func (s seen) textOf(w wish) Text {
	u := w.Update
	var b strings.Builder
	s.writeNotes(&b, w)
	fmt.Fprintf(&b, "App %s in %s: %s → %s\n\n", quote(u.App), quote(u.Environment), quote(s.base.Tag), quote(u.Tag))
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "- %s: %s\n", name, value)
		}
	}
	line("Image", quoteAll(u.Repository))
	line("Digest", quoteAll(u.ImageDigest()))
	line("Changes", quoteAll(s.places(w)...))
	line("Compare", link(w.links.compare))
	line("Requested by", requester(u))
	line("Accepted", u.AcceptedAt.UTC().Format(time.RFC3339)+", delivery "+quote(u.Delivery.String()))
	if t := u.Terms; t != nil {
		line("Reason", quoteAll(t.Reason))
		line("Override", quoteAll(t.Override))
		line("Rolls back", quoteAll(t.RollsBack))
	}
	line("Supersedes", quoteAll(s.superseded(u)...))
	fmt.Fprintf(&b, "\nMerge this pull request to deploy. Close it to refuse: the tag stays refused until somebody orders it by name: %s\n\n", quote(orderAgain(u)))
	return Text{Title: gitops.Clip(s.topic.Subject, maxTitle), Body: b.String() + s.trailers(u), Labels: s.labels(w)}
}

// places are where the tag is written, or the files that the commit changes.
func (s seen) places(w wish) []string {
	if len(w.links.places) > 0 {
		return w.links.places
	}
	return s.topic.Files
}

func requester(u gitops.Update) string {
	words := quoteAll(u.Actor)
	if words == "" {
		words = "automation"
	}
	if u.Principal != "" {
		words += ", authenticated as " + quote(u.Principal)
	}
	if u.Rule != "" {
		words += ", allowed by " + quote(u.Rule)
	}
	return words
}

// trailers are those of the topic's commit, and the update's where the commit is of another
// update of the same tag.
func (s seen) trailers(u gitops.Update) string {
	lines := s.topic.Trailers
	if !slices.Contains(s.topic.Updates, u.ID) {
		lines = strings.TrimRight(lines, "\n") + "\n" + u.Trailers()
	}
	var b strings.Builder
	for line := range strings.Lines(lines) {
		b.WriteString(quiet(line))
	}
	return b.String()
}

// labels are those that the pull request has, and those that it lacks: a person's stay.
func (s seen) labels(w wish) (labels []string) {
	if s.pull != nil && s.pull.State == PullOpen {
		labels = slices.Clone(s.pull.Text.Labels)
	}
	for _, label := range w.env.Labels {
		if !slices.ContainsFunc(labels, func(l string) bool { return strings.EqualFold(l, label) }) {
			labels = append(labels, label)
		}
	}
	return labels
}

// Notes are the first lines of a text. Each begins with a word by which it is found again.
const (
	heldNote     = "**Held:** "
	personalNote = "**A person's commit:** "
)

// writeNotes writes what keeps tallyman from merging the pull request.
func (s seen) writeNotes(b *strings.Builder, w wish) {
	held := w.Held[:min(len(w.Held), maxList)]
	for _, by := range held {
		fmt.Fprintf(b, "%stallyman does not merge this: %s\n", heldNote, quote(by.Reason))
	}
	if !s.topic.Ours && !s.head.IsZero() {
		fmt.Fprintf(b, "%s%s is of %s. tallyman does not push over it: merge this pull request, close it, or take the commit off the branch.\n", personalNote, quote(s.head.String()[:12]), quote(s.topic.Author))
	}
	if b.Len() > 0 {
		b.WriteByte('\n')
	}
}

// markedText is what the pull request says already, with other notes: its head is not
// tallyman's, and says nothing of the update.
func (s seen) markedText(w wish) Text {
	var b strings.Builder
	s.writeNotes(&b, w)
	body := strings.ReplaceAll(s.pull.Text.Body, "\r\n", "\n")
	for strings.HasPrefix(body, heldNote) || strings.HasPrefix(body, personalNote) {
		_, body, _ = strings.Cut(body, "\n")
		body = strings.TrimLeft(body, "\n")
	}
	if b.Len()+len(body) > maxBody {
		return s.pull.Text // the comment says it
	}
	return Text{Title: s.pull.Text.Title, Body: b.String() + body, Labels: s.labels(w)}
}

// saysPersonal reports whether a text says already that the head is a person's commit.
func (s seen) saysPersonal(body string) bool {
	return strings.Contains(body, personalNote+quote(s.head.String()[:12]))
}

// remark is the one comment about a person's commit.
func (s seen) remark() string {
	return fmt.Sprintf("The commit %s of %s is on this branch. tallyman does not push over it: merge this pull request, close it, or take the commit off the branch. A newer tag waits until then.", quote(s.head.String()[:12]), quote(s.topic.Author))
}

var (
	tagsLine       = regexp.MustCompile("(?m)^App `[^`\n]*` in `[^`\n]*`: `[^`\n]*` → `([^`\n]*)`\r?$")
	supersedesLine = regexp.MustCompile("(?m)^- Supersedes: (.*?)\r?$")
	quotedWord     = regexp.MustCompile("`([^`\n]*)`")
)

// superseded are the tags that the open pull request had before this one, as its text says:
// those of the last so many.
func (s seen) superseded(u gitops.Update) (tags []string) {
	if s.pull == nil || s.pull.State != PullOpen {
		return nil
	}
	if m := supersedesLine.FindStringSubmatch(s.pull.Text.Body); m != nil {
		for _, word := range quotedWord.FindAllStringSubmatch(m[1], -1) {
			tags = append(tags, word[1])
		}
	}
	if m := tagsLine.FindStringSubmatch(s.pull.Text.Body); m != nil && m[1] != u.Tag {
		tags = append(tags, m[1])
	}
	tags = slices.DeleteFunc(tags, func(tag string) bool { return gitops.CheckTag("tag", tag) != nil })
	return tags[max(0, len(tags)-maxList):]
}

// quoteAll quotes the words that are not empty; "" for none.
func quoteAll(words ...string) string {
	var list []string
	for _, word := range words {
		if word != "" {
			list = append(list, quote(word))
		}
	}
	if more := len(list) - maxList; more > 0 {
		list = append(list[:maxList], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(list, ", ")
}

// quote makes a code span of somebody's words: one line, which nothing in it ends.
func quote(words string) string { return quoted(words, maxWord) }

func quoted(words string, most int) string {
	words = words[:min(len(words), 8*most)]
	visible := strings.FieldsFunc(strings.ToValidUTF8(words, "?"), func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) })
	text := strings.ReplaceAll(gitops.Clip(strings.Join(visible, " "), most), "`", "'")
	if text == "" {
		text = "?"
	}
	return "`" + text + "`"
}

// link is an address as an autolink; "" for what is not http or https.
func link(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || len(address) > maxLink || strings.ContainsAny(address, "<>` \t\n") {
		return ""
	}
	return "<" + u.String() + ">"
}

var (
	wordsTrailer = regexp.MustCompile("^(" + gitops.TrailerReason + "|" + gitops.TrailerOverride + "): ")
	mention      = regexp.MustCompile(`(^|[^A-Za-z0-9])@`)
)

// quiet is a trailer of which GitHub makes no mention, link or markup: a person's words are
// quoted, and the grammars of what else there is leave a sign of a mention alone.
func quiet(line string) string {
	if wordsTrailer.MatchString(line) {
		name, words, _ := strings.Cut(line, ": ")
		return name + ": " + quoted(words, maxReason) + "\n"
	}
	return mention.ReplaceAllString(line, "$1@ ")
}
