package sqlite

import (
	"context"
	"encoding/json"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

const imageColumns = `repository, tag, digest, seen_at, source, delivery, named`

func scanImage(r row) gitops.SeenImage {
	return gitops.SeenImage{
		Repository: r.text(0), Tag: r.text(1), Digest: r.text(2), At: r.time(3),
		By: gitops.DeliveryKey{Source: r.text(4), ID: r.text(5)}, Named: r.number(6) != 0,
	}
}

// SeenImages implements [queue.Images].
func (s *Store) SeenImages(ctx context.Context, repository string, tags []string) (seen []gitops.SeenImage, err error) {
	const images = `SELECT ` + imageColumns + ` FROM images WHERE repository = ? AND tag IN (SELECT value FROM json_each(?)) ORDER BY repository, tag, place`
	list, err := json.Marshal(tags)
	if err != nil {
		return nil, err
	}
	err = s.read(ctx, func(ctx context.Context, c *connection) error {
		return c.query(ctx, images, []any{repository, string(list)}, func(r row) error {
			seen = append(seen, scanImage(r))
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return seen, nil
}

// RecordImages implements [queue.Images].
func (s *Store) RecordImages(ctx context.Context, seen []gitops.SeenImage) error {
	return s.writer.run(ctx, &request{updates: 1 + len(seen), work: func(tx *tx) error {
		if err := tx.checkRoom(); err != nil {
			return err
		}
		for _, image := range seen {
			if err := tx.recordImage(image); err != nil {
				return err
			}
		}
		return nil
	}})
}

// recordImage keeps an image, unless its tag has another digest or it is known.
func (tx *tx) recordImage(image gitops.SeenImage) error {
	const first = `INSERT INTO images (` + imageColumns + `, place) VALUES (?, ?, ?, ?, ?, ?, ?, 0)
		ON CONFLICT DO UPDATE SET digest = excluded.digest, seen_at = excluded.seen_at, source = excluded.source, delivery = excluded.delivery, named = excluded.named
		WHERE images.digest = '' AND excluded.digest <> ''`
	const further = `INSERT INTO images (` + imageColumns + `, place) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, max(place) + 1 FROM images
		WHERE repository = ?1 AND tag = ?2 HAVING max(digest = ?3) = 0`
	args := []any{image.Repository, image.Tag, image.Digest, tx.now.UnixMicro(), image.By.Source, image.By.ID, image.Named}
	_, err := tx.change(first, args...)
	if err == nil && image.Named && image.Digest != "" {
		_, err = tx.change(further, args...)
	}
	return err
}

// images gives them for an export.
func (e *export) images() error {
	return e.c.query(e.ctx, `SELECT `+imageColumns+` FROM images ORDER BY repository, tag, place`, nil, func(r row) error {
		image := scanImage(r)
		return e.give(queue.Entry{Image: &image})
	})
}

// addImage adds an image behind those of its tag that were given.
func (in *importing) addImage(image gitops.SeenImage) error {
	const add = `INSERT INTO images (` + imageColumns + `, place)
		SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ifnull(max(place) + 1, 0) FROM images WHERE repository = ?1 AND tag = ?2`
	return in.c.exec(add, image.Repository, image.Tag, image.Digest, image.At.UnixMicro(), image.By.Source, image.By.ID, image.Named)
}
