package sns_test

import (
	"errors"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/webhook/sns"
)

func TestNewRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		config sns.Config
		field  string
	}{
		"no topic":         {sns.Config{}, "sources.sns.topics"},
		"a topic's name":   {sns.Config{Topics: []string{topic, "ecr-events"}}, "sources.sns.topics[1]"},
		"a topic of FIFO":  {sns.Config{Topics: []string{topic + ".fifo"}}, "sources.sns.topics[0]"},
		"a region made up": {sns.Config{Topics: []string{"arn:aws:sns:evil.example/:123456789000:x"}}, "sources.sns.topics[0]"},
		"a subscription":   {sns.Config{Topics: []string{topic + ":c9135db0"}}, "sources.sns.topics[0]"},
	} {
		_, err := sns.New(c.config)
		var e *gitops.Error
		if !errors.As(err, &e) || e.Code != gitops.Invalid || e.Field != c.field {
			t.Errorf("%s: %v", name, err)
		}
	}
}
