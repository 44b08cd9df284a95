package follow

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

const (
	// reportsAtOnce bounds a transaction.
	reportsAtOnce = 200
	// reportBetween is the least between two: what is found out meanwhile is recorded together.
	reportBetween = 200 * time.Millisecond
)

// report records what has changed. It is not kept when the lease is another's.
func (l *leader) report(ctx context.Context) (kept bool, err error) {
	var all []*followed
	var reports []queue.RolloutReport
	for _, f := range l.inOrder {
		if r := queue.KeptRollout(f.stand(l.Now(), l.lease.Ahead(), l.instances)); f.news(r) {
			all, reports = append(all, f), append(reports, queue.RolloutReport{Update: f.update.ID, Rollout: r})
		}
	}
	for len(all) > 0 {
		n := min(len(all), reportsAtOnce)
		kept, err := l.reportBatch(ctx, all[:n], reports[:n])
		if !kept || err != nil {
			return kept, err
		}
		all, reports = all[n:], reports[n:]
		l.reportAt = l.Now().Add(reportBetween)
	}
	return true, nil
}

// reportBatch records some. One update that the store has forgotten has all of them refused:
// they are recorded one by one then.
func (l *leader) reportBatch(ctx context.Context, all []*followed, reports []queue.RolloutReport) (kept bool, err error) {
	stored, err := l.Store.ReportRollouts(ctx, l.lease.Held(), reports)
	switch code := gitops.CodeOf(err); {
	case code == gitops.Conflict:
		l.lost()
		return false, nil
	case code == gitops.NotFound && len(all) == 1:
		l.remove(all[0])
		return true, nil
	case code == gitops.NotFound:
		for n := range all {
			if kept, err := l.reportBatch(ctx, all[n:n+1], reports[n:n+1]); !kept || err != nil {
				return kept, err
			}
		}
		return true, nil
	case err != nil:
		return true, err
	}
	for n, f := range all {
		f.kept = stored[n]
		switch {
		case !f.kept.State.Final():
		case f.how.By == ByReports && f.kept.State != reports[n].Rollout.State: // reported meanwhile, which the feed will tell
			l.remove(f)
		default:
			l.ended(f)
		}
	}
	return true, nil
}

// ended tells of a verdict that the store has.
func (l *leader) ended(f *followed) {
	l.remove(f)
	l.count(f.update, f.kept)
}

// count counts a verdict, and logs it.
func (l *leader) count(u gitops.Update, r gitops.Rollout) {
	l.Recorder.Ended(u, r)
	level := slog.LevelInfo
	if r.State.Failed() {
		level = slog.LevelWarn
	}
	l.Logger.Log(context.Background(), level, "rollout "+string(r.State), slog.String("update", u.ID), slog.String("environment", u.Environment),
		slog.String("app", u.App), slog.String("tag", u.Tag), slog.String("reason", r.Reason))
}

// news reports whether the store has something else. Of a rollout that others report only
// its beginning and its end are this one's to record: what else it is they know better.
func (f *followed) news(r gitops.Rollout) bool {
	switch {
	case f.how.By == "" && f.kept.State == "": // it may not be followed at all
		return false
	case f.kept.State == "" || r.State.Final():
		return true
	case f.how.By != ByArgoCD:
		return false
	}
	k := f.kept
	return r.State != k.State || r.Reason != k.Reason || r.Revision != k.Revision || !r.Deadline.Equal(k.Deadline) || !slices.Equal(r.Places, k.Places)
}
