package sqlite

import (
	"context"
	"fmt"

	"github.com/tallyman-dev/tallyman/gitops"
)

// lowerThan is why an update that only goes up would lower the version of its app, or
// "" when it would not.
func (tx *tx) lowerThan(u gitops.Update) (reason string, err error) {
	const open = `SELECT u.id, u.tag, u.state FROM updates u
		WHERE u.environment = ? AND u.app = ? AND u.version > ? AND u.version <> '' AND u.finished_at IS NULL ORDER BY u.version DESC LIMIT 1`
	key := gitops.VersionKey(u.Tag)
	if !u.OnlyUp || key == "" {
		return "", nil
	}
	if head := tx.head(u.Environment, u.App); gitops.LowerVersion(u.Tag, head.WrittenTag) {
		return gitops.LowerThan(u, head.WrittenTag, fmt.Sprintf("is on the branch (update %s)", head.WrittenID)), nil
	}
	_, err = tx.one(context.Background(), open, []any{u.Environment, u.App, key}, func(r row) {
		reason = gitops.LowerThan(u, r.text(1), fmt.Sprintf("is %s (update %s)", r.text(2), r.id(0)))
	})
	return reason, err
}
