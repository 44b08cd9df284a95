package queue

import (
	"context"
	"encoding/json"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// feedbackNote is what is kept of the update of an app in an environment that GitHub was last
// told of: one checkpoint for each, however many updates there are.
type feedbackNote struct {
	Update   string    `json:"update"`
	Accepted time.Time `json:"accepted"` // the update was; sequences change when a store is copied
	gitops.Feedback
}

func feedbackCheckpoint(p gitops.Place) string { return "feedback/" + p.Environment + "/" + p.App }

// NoteFeedback keeps what GitHub shows of an update that was accepted at a time, in the place
// of what it shows of an earlier one of its app in its environment. What it shows of a later one
// stays. One process notes at a time.
func NoteFeedback(ctx context.Context, c Checkpoints, p gitops.Place, update string, accepted time.Time, f gitops.Feedback) error {
	noted, err := feedbackNoted(ctx, c, p)
	if err != nil || noted.Accepted.After(accepted) {
		return err
	}
	text, _ := json.Marshal(feedbackNote{update, accepted, f}) // texts, a time and a number
	return c.SetCheckpoint(ctx, feedbackCheckpoint(p), string(text))
}

// checkpoint is what reads one.
type checkpoint interface {
	Checkpoint(ctx context.Context, name string) (value string, err error)
}

// feedbackNoted is what was noted of an app in an environment; the zero note where nothing was.
func feedbackNoted(ctx context.Context, c checkpoint, p gitops.Place) (note feedbackNote, err error) {
	text, err := c.Checkpoint(ctx, feedbackCheckpoint(p))
	if err != nil || json.Unmarshal([]byte(text), &note) != nil {
		return feedbackNote{}, err
	}
	return note, nil
}

// FeedbackOf returns what GitHub shows of an update; nil where nothing was noted, or where
// another update of its app was noted since.
func FeedbackOf(ctx context.Context, c checkpoint, u gitops.Update) (*gitops.Feedback, error) {
	note, err := feedbackNoted(ctx, c, gitops.Place{Environment: u.Environment, App: u.App})
	if err != nil || note.Update != u.ID {
		return nil, err
	}
	return &note.Feedback, nil
}
