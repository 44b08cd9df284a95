package config

import "regexp"

// moved are the fields that once said who may do what. One list says it now.
var moved = []struct {
	field *regexp.Regexp
	to    string
}{
	{regexp.MustCompile(`^sources\.github\.allow$`), "write each rule as one of access, with its repository and senders in who.dispatch, and may: [order]"},
	{regexp.MustCompile(`^api\.oidc\.rules$`), "write each rule as one of access, with its repository, refs and so on in who.job, and may: [order]"},
	{regexp.MustCompile(`^api\.tokens\[[0-9]+\]\.(can|environments|apps)$`), "write it as a rule of access, with who.token, may, apps and environments"},
	{regexp.MustCompile(`^sources\.(eventbridge|sns)\.(accounts|regions)$`), "write it as a rule of access, with source, accounts and regions in who.push, may: [order], apps and environments"},
}

// movedTo says where a field has gone; "" for one that never was.
func movedTo(field string) string {
	for _, m := range moved {
		if m.field.MatchString(field) {
			return m.to
		}
	}
	return ""
}
