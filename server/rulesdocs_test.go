package server

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// subsection is what stands under a heading of the third level in the reference.
func subsection(t *testing.T, heading string) string {
	t.Helper()
	_, section, found := strings.Cut(reference(t), "\n### "+heading+"\n")
	if !found {
		t.Fatalf("the reference has no %s", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	section, _, _ = strings.Cut(section, "\n### ")
	return section
}

// codes are what stands as code in a cell.
func codes(cell string) (found []string) {
	for _, m := range codeText.FindAllStringSubmatch(cell, -1) {
		found = append(found, m[1])
	}
	return found
}

// What other tools' rules become here takes the one tag and not the other, and is
// nothing that check would warn of.
func TestReferenceRulesFromOtherTools(t *testing.T) {
	tools := map[string]int{}
	for line := range strings.Lines(subsection(t, "Rules from other tools")) {
		cells := strings.Split(line, "|")
		if len(cells) != 7 || !strings.Contains(cells[3], ": ") {
			continue
		}
		tool, _, _ := strings.Cut(strings.TrimSpace(cells[1]), ",")
		tools[tool]++
		here, takes, not := codes(cells[3]), codes(cells[4]), codes(cells[5])
		if len(codes(cells[2])) == 0 || len(here) == 0 || len(takes) == 0 || len(not) == 0 {
			t.Errorf("a cell is empty: %s", line)
			continue
		}
		// What is not of the rule, such as set, stands behind it.
		accepts := planner(t, here[0])
		for _, tag := range takes {
			if !accepts(tag) {
				t.Errorf("%s does not take %s", here[0], tag)
			}
		}
		for _, tag := range not {
			if accepts(tag) {
				t.Errorf("%s takes %s", here[0], tag)
			}
		}
		if warned, err := judge(t, here[0]); warned || err != nil {
			t.Errorf("%s is warned of (%t) or refused: %v", here[0], warned, err)
		}
	}
	total := 0
	for _, n := range tools {
		total += n
	}
	if want := []string{"Argo CD Image Updater", "Flux", "Keel", "Renovate"}; total < 10 || !slices.Equal(slices.Sorted(maps.Keys(tools)), want) {
		t.Errorf("tried rules of %v", tools)
	}
}

// judge is what check says of a rule of the environment dev.
func judge(t *testing.T, rule string) (warned bool, err error) {
	t.Helper()
	s := newSite(t)
	s.edit("dev: {tags: {match: 'main-[0-9a-f]{7,40}'}}", "dev: {tags: {"+rule+"}}")
	p, err := policyOf(s.config())
	return err == nil && len(p.Warnings()) > 0, err
}

// What the reference says that check says of rules it does say.
func TestReferenceRulesThatAreRefused(t *testing.T) {
	tried := 0
	for line := range strings.Lines(subsection(t, "What check says of a rule")) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 || !strings.HasPrefix(strings.TrimSpace(cells[1]), "`match: ") && !strings.HasPrefix(strings.TrimSpace(cells[1]), "`semver: ") {
			continue
		}
		rules := codes(cells[1])
		if strings.Contains(cells[1], " with ") {
			rules = []string{strings.Join(rules, ", ")}
		}
		warning := strings.HasPrefix(strings.TrimSpace(cells[2]), "warning:")
		for _, rule := range rules {
			tried++
			if warned, err := judge(t, rule); warned != warning || (err != nil) == warning {
				t.Errorf("%s: warned of %t, refused with %v", rule, warned, err)
			}
		}
		for _, way := range codes(cells[3]) {
			if warned, err := judge(t, way); strings.Contains(way, ": ") && (warned || err != nil) {
				t.Errorf("what is to be written, %s: warned of %t, refused with %v", way, warned, err)
			}
		}
	}
	if tried < 12 {
		t.Errorf("only %d rules are tried", tried)
	}
}
