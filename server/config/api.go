package config

import (
	"fmt"

	"github.com/tallyman-dev/tallyman/gitops"
)

// checkAPI checks the tokens' fields; what is in their files is checked by the API.
func (c *Config) checkAPI(report func(field, format string, args ...any)) {
	files := make(map[string]bool)
	same := gitops.SameButCase(func(yield func(string) bool) {
		for _, token := range c.API.Tokens {
			if !yield(token.Name) {
				return
			}
		}
	})
	for i, token := range c.API.Tokens {
		field := fmt.Sprintf("api.tokens[%d]", i)
		if err := gitops.CheckName("", token.Name); err != nil {
			report(field+".name", "%s", gitops.PublicOf(err))
		}
		if other, ok := same[token.Name]; ok {
			report(field+".name", "differs from that of token %s only in case: give one of the two another name", other)
		}
		switch {
		case token.File == "":
			report(field+".file", "is missing")
		case files[token.File]:
			report(field+".file", "is that of another token")
		}
		files[token.File] = true
		if _, ok := token.Expiry(); !ok {
			report(field+".expires", "must be a date such as 2027-01-31, or a time such as 2027-01-31T12:00:00Z, in quotes")
		}
	}
}
