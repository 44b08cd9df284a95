package queue

import (
	"context"
	"encoding/json"

	"github.com/tallyman-dev/tallyman/gitops"
)

// feedbackNote is what is kept of the update of an app in an environment that GitHub was last
// told of: one checkpoint for each, however many updates there are.
type feedbackNote struct {
	Update string `json:"update"`
	gitops.Feedback
}

func feedbackCheckpoint(p gitops.Place) string { return "feedback/" + p.Environment + "/" + p.App }

// NoteFeedback keeps what GitHub shows of an update, in the place of what it shows of an
// earlier one of its app in its environment.
func NoteFeedback(ctx context.Context, c Checkpoints, p gitops.Place, update string, f gitops.Feedback) error {
	text, _ := json.Marshal(feedbackNote{update, f}) // texts and a number
	return c.SetCheckpoint(ctx, feedbackCheckpoint(p), string(text))
}

// FeedbackOf returns what GitHub shows of an update; nil where nothing was noted, or where
// another update of its app was noted since.
func FeedbackOf(ctx context.Context, c interface {
	Checkpoint(ctx context.Context, name string) (value string, err error)
}, u gitops.Update) (*gitops.Feedback, error) {
	text, err := c.Checkpoint(ctx, feedbackCheckpoint(gitops.Place{Environment: u.Environment, App: u.App}))
	if err != nil || text == "" {
		return nil, err
	}
	var note feedbackNote
	if json.Unmarshal([]byte(text), &note) != nil || note.Update != u.ID {
		return nil, nil
	}
	return &note.Feedback, nil
}
