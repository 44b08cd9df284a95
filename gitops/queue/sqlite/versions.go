package sqlite

import (
	"context"
	"fmt"

	"github.com/tallyman-dev/tallyman/gitops"
)

// badMark finds the marks of an app, the second argument, in an environment, the first, by
// the tag that follows.
const badMark = `SELECT 1 FROM holds h INDEXED BY holds_bad WHERE h.kind = 'bad' AND h.lifted_at IS NULL
	AND (h.environments = '[]' OR ?1 IN (SELECT value FROM json_each(h.environments))) AND ?2 IN (SELECT value FROM json_each(h.apps)) AND h.tag`

// lowerThan is why an update that only goes up would lower the version of its app, or
// "" when it would not. A tag that is marked as bad counts for nothing: the fix of a version
// that was rolled back may have a lower one.
func (tx *tx) lowerThan(u gitops.Update) (reason string, err error) {
	const open = `SELECT u.id, u.tag, u.state FROM updates u
		WHERE u.environment = ?1 AND u.app = ?2 AND u.version > ?3 AND u.version <> '' AND u.finished_at IS NULL AND NOT EXISTS (` + badMark + ` = u.tag)
		ORDER BY u.version DESC LIMIT 1`
	key := gitops.VersionKey(u.Tag)
	if !u.OnlyUp || key == "" {
		return "", nil
	}
	if head := tx.head(u.Environment, u.App); gitops.LowerVersion(u.Tag, head.WrittenTag) {
		bad, err := tx.one(context.Background(), badMark+` = ?3`, []any{u.Environment, u.App, head.WrittenTag}, func(row) {})
		if err != nil {
			return "", err
		}
		if !bad {
			return gitops.LowerThan(u, head.WrittenTag, fmt.Sprintf("is on the branch (update %s)", head.WrittenID)), nil
		}
	}
	_, err = tx.one(context.Background(), open, []any{u.Environment, u.App, key}, func(r row) {
		reason = gitops.LowerThan(u, r.text(1), fmt.Sprintf("is %s (update %s)", r.text(2), r.id(0)))
	})
	return reason, err
}
