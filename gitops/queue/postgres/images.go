package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// imageArg is an image as the functions take it.
type imageArg struct {
	Place      int    `json:"place"` // of its delivery in an accept
	Repository string `json:"repository"`
	Tag        string `json:"tag"`
	Digest     string `json:"digest"`
	Source     string `json:"source"`
	Delivery   string `json:"delivery"`
	Named      bool   `json:"named"`
}

func imageArgOf(i gitops.SeenImage, place int) imageArg {
	by := cleanKey(i.By)
	return imageArg{place, clean(i.Repository), clean(i.Tag), clean(i.Digest), by.Source, by.ID, i.Named}
}

// imageColumns are what scanImage reads.
const imageColumns = `repository, tag, digest, seen_at, source, delivery, named`

func scanImage(row pgx.CollectableRow) (i gitops.SeenImage, err error) {
	err = row.Scan(&i.Repository, &i.Tag, &i.Digest, &i.At, &i.By.Source, &i.By.ID, &i.Named)
	i.At = i.At.UTC()
	return i, err
}

// SeenImages implements [queue.Images].
func (s *Store) SeenImages(ctx context.Context, repository string, tags []string) (seen []gitops.SeenImage, err error) {
	const images = `SELECT ` + imageColumns + ` FROM images WHERE repository = $1 AND tag = ANY ($2) ORDER BY tag, place`
	err = s.read(ctx, func(ctx context.Context) error {
		seen, err = rows(ctx, s.pool, images, []any{clean(repository), texts(tags)}, scanImage)
		return err
	})
	if err != nil {
		return nil, err
	}
	return seen, nil
}

// RecordImages implements [queue.Images].
func (s *Store) RecordImages(ctx context.Context, seen []gitops.SeenImage) error {
	args := make([]imageArg, len(seen))
	for i, image := range seen {
		args[i] = imageArgOf(image, 0)
	}
	text, err := marshal(args)
	if err != nil {
		return domainError(err)
	}
	return s.call(ctx, func(ctx context.Context) error {
		_, err := s.pool.Exec(ctx, `SELECT see_images($1, $2)`, s.nowArg(), text)
		return err
	})
}

// images gives them, those of a tag in their order.
func (e *export) images() error {
	return e.each(`SELECT `+imageColumns+` FROM images ORDER BY repository, tag, place`, func(row pgx.CollectableRow) (queue.Entry, error) {
		i, err := scanImage(row)
		return queue.Entry{Image: &i}, err
	})
}

// image brings in one, behind those of its tag that were given before.
func (in *importing) image(i gitops.SeenImage) error {
	tag := i.Repository + " " + i.Tag
	if in.imagesOf != tag {
		in.imagesOf, in.images = tag, 0
	}
	in.images++
	by := cleanKey(i.By)
	return in.row("images", clean(i.Repository), clean(i.Tag), in.images-1, clean(i.Digest), i.At, by.Source, by.ID, i.Named)
}
