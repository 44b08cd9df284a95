package ecr

import (
	"context"
	"errors"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/image"
)

// pageSize is the most images that ECR tells in one answer.
const pageSize = 1000

// Image is an image of a repository with all its tags.
type Image struct {
	Tags     []string
	Digest   string
	PushedAt time.Time // UTC; when this image was pushed first, whichever tag it got later
}

// Presence says of a tag whose manifest the registry does not give whether ECR has it in its
// archive, from where it cannot be pulled. One that is being restored is absent until it is there.
func (c *Client) Presence(ctx context.Context, host, repository, tag string) (image.Presence, error) {
	r, err := c.open(ctx, host)
	if err != nil {
		return "", err
	}
	var out *sdk.DescribeImagesOutput
	err = c.call(ctx, r, describeImages, repository, func(ctx context.Context) (err error) {
		out, err = r.api.DescribeImages(ctx, &sdk.DescribeImagesInput{
			RegistryId:     &r.Account,
			RepositoryName: &repository,
			ImageIds:       []types.ImageIdentifier{{ImageTag: &tag}},
			Filter:         &types.DescribeImagesFilter{ImageStatus: types.ImageStatusFilterAny},
		})
		return ignoreAbsent(err)
	})
	if err != nil {
		return "", err
	}
	if out == nil || len(out.ImageDetails) == 0 {
		return image.Absent, nil
	}
	switch out.ImageDetails[0].ImageStatus {
	case types.ImageStatusArchived:
		return image.Archived, nil
	case types.ImageStatusActivating:
		return image.Absent, nil
	default:
		return image.Present, nil
	}
}

// ignoreAbsent takes the two answers that say that there is no such image for no error.
func ignoreAbsent(err error) error {
	var image *types.ImageNotFoundException
	var repository *types.RepositoryNotFoundException
	if errors.As(err, &image) || errors.As(err, &repository) {
		return nil
	}
	return err
}

// Images calls each with every page of a repository's images that have a tag and can be pulled. ECR
// promises no order. An error of each ends the scan and is returned. A repository that does not
// exist has no images. Calls wait their turn: see [Config.ScanEvery].
func (c *Client) Images(ctx context.Context, host, repository string, each func(page []Image) error) error {
	r, err := c.open(ctx, host)
	if err != nil {
		return err
	}
	pace := c.paceOf(r.Registry)
	for next := (*string)(nil); ; {
		if err := pace.wait(ctx); err != nil {
			return err
		}
		var out *sdk.DescribeImagesOutput
		err := c.call(ctx, r, describeImages, repository, func(ctx context.Context) (err error) {
			out, err = r.api.DescribeImages(ctx, &sdk.DescribeImagesInput{
				RegistryId:     &r.Account,
				RepositoryName: &repository,
				MaxResults:     awssdk.Int32(pageSize),
				NextToken:      next,
				Filter:         &types.DescribeImagesFilter{TagStatus: types.TagStatusTagged},
			})
			return ignoreAbsent(err)
		})
		if err != nil || out == nil {
			return err
		}
		if err := each(imagesOf(out.ImageDetails)); err != nil {
			return err
		}
		switch {
		case awssdk.ToString(out.NextToken) == "":
			return nil
		case awssdk.ToString(out.NextToken) == awssdk.ToString(next):
			return gitops.Errorf(gitops.Unavailable, "ECR's API in %s repeats a page of %s's images", r.Region, repository)
		}
		next = out.NextToken
	}
}

func imagesOf(details []types.ImageDetail) []Image {
	images := make([]Image, 0, len(details))
	for _, d := range details {
		images = append(images, Image{Tags: d.ImageTags, Digest: awssdk.ToString(d.ImageDigest), PushedAt: awssdk.ToTime(d.ImagePushedAt).UTC()})
	}
	return images
}
