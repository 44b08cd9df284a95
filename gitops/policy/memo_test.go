package policy

import (
	"fmt"
	"testing"
)

// A configuration that differs in one app asks for that app's rule alone, and what no
// configuration asks for any more is forgotten.
func TestRulesAreRemembered(t *testing.T) {
	memo := new(Memo)
	of := func(first int) Config {
		c := Config{Memo: memo, Apps: map[string]App{}, Environments: map[string]Environment{"dev": {Tags: TagRule{Match: "[a-z0-9-]+"}}}}
		for i := first; i < first+10; i++ {
			c.Apps[fmt.Sprint("app-", i)] = App{Tags: TagRule{Match: fmt.Sprintf("app-%d-.*", i)}}
		}
		return c
	}
	for first := range 20 {
		before := len(memo.rules)
		kept := memo.rules[TagRule{Match: fmt.Sprintf("app-%d-.*", first)}]
		if _, err := New(of(first)); err != nil {
			t.Fatal(err)
		}
		if now := memo.rules[TagRule{Match: fmt.Sprintf("app-%d-.*", first)}]; first > 0 && now != kept {
			t.Errorf("configuration %d: the rule of an app that stays was compiled again", first)
		}
		if first > remembersFor+1 && (len(memo.rules) != before || len(memo.pairs) != before-1) {
			t.Fatalf("configuration %d: %d rules and %d pairs are remembered, there were %d rules", first, len(memo.rules), len(memo.pairs), before)
		}
	}
}

// A wrong rule is wrong each time, by the field that it stands in.
func TestAWrongRuleIsRemembered(t *testing.T) {
	memo := new(Memo)
	for _, field := range []string{"apps.api.tags", "apps.web.tags"} {
		_, _, err := memo.compile(field, TagRule{Match: "("})
		if err == nil || err.Error()[:len(field)+8] != field+".match: " {
			t.Errorf("got %v", err)
		}
	}
}
