package ecr

import (
	"context"
	"fmt"
	"slices"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Signed says why ECR's managed signing has not signed an image; why is "" where it has, with
// every profile whose rules match the repository. pending: the signature may still come. It is made
// some seconds after the push, and ECR says nothing of it before.
func (c *Client) Signed(ctx context.Context, host, repository, digest string) (why string, pending bool, err error) {
	r, err := c.open(ctx, host)
	if err != nil {
		return "", false, err
	}
	var out *sdk.DescribeImageSigningStatusOutput
	err = c.call(ctx, r, describeImageSigningStatus, repository, func(ctx context.Context) (err error) {
		out, err = r.api.DescribeImageSigningStatus(ctx, &sdk.DescribeImageSigningStatusInput{
			RegistryId:     &r.Account,
			RepositoryName: &repository,
			ImageId:        &types.ImageIdentifier{ImageDigest: &digest},
		})
		return ignoreAbsent(err)
	})
	if err != nil {
		return "", false, err
	}
	if out == nil || len(out.SigningStatuses) == 0 {
		return fmt.Sprintf("ECR has not begun to sign it: a signing rule of registry %s must match repository %s", host, repository), true, nil
	}
	if i := slices.IndexFunc(out.SigningStatuses, has(types.SigningStatusFailed)); i >= 0 {
		s := out.SigningStatuses[i]
		return fmt.Sprintf("ECR's signing of it failed: %s (%s, profile %s)", clip(s.FailureReason), clip(s.FailureCode), clip(s.SigningProfileArn)), false, nil
	}
	if i := slices.IndexFunc(out.SigningStatuses, func(s types.ImageSigningStatus) bool { return s.Status != types.SigningStatusComplete }); i >= 0 {
		return fmt.Sprintf("ECR is still signing it with profile %s", clip(out.SigningStatuses[i].SigningProfileArn)), true, nil
	}
	return "", false, nil
}

func has(status types.SigningStatus) func(types.ImageSigningStatus) bool {
	return func(s types.ImageSigningStatus) bool { return s.Status == status }
}

func clip(text *string) string { return gitops.Clip(awssdk.ToString(text), 200) }
