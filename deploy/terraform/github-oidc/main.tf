# A role that one GitHub repository's jobs take to push images, on the word of GitHub's token: there is no key to keep.

locals {
  issuer       = "token.actions.githubusercontent.com"
  provider_arn = var.create_provider ? aws_iam_openid_connect_provider.github[0].arn : "arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:oidc-provider/${local.issuer}"

  # The sub claim has two shapes. Repositories made, renamed or moved since 2026-07-15 have the second, whose numbers GitHub
  # never gives out again; the others have the first until they are moved over. A job has exactly one of them.
  owner = split("/", var.repository)[0]
  name  = split("/", var.repository)[1]
  repositories = concat(
    var.legacy_subject ? ["repo:${var.repository}"] : [],
    ["repo:${local.owner}@${var.owner_id}/${local.name}@${var.repository_id}"],
  )
  # A job in a GitHub environment has that in place of its branch or tag.
  contexts = concat(
    [for branch in var.branches : "ref:refs/heads/${branch}"],
    [for tag in var.tags : "ref:refs/tags/${tag}"],
    [for environment in var.environments : "environment:${replace(environment, ":", "%3A")}"],
  )
  subjects = [for pair in setproduct(local.repositories, local.contexts) : "${pair[0]}:${pair[1]}"]
}

data "aws_partition" "current" {}

data "aws_caller_identity" "current" {}

resource "aws_iam_openid_connect_provider" "github" {
  count = var.create_provider ? 1 : 0

  url            = "https://${local.issuer}"
  client_id_list = ["sts.amazonaws.com"]
}

resource "aws_iam_role" "push" {
  name                 = var.role_name
  description          = "Jobs of ${var.repository} push images"
  max_session_duration = 3600

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRoleWithWebIdentity"
      Principal = { Federated = local.provider_arn }
      Condition = {
        StringEquals = { "${local.issuer}:aud" = "sts.amazonaws.com" }
        StringLike   = { "${local.issuer}:sub" = local.subjects }
      }
    }]
  })

  lifecycle {
    precondition {
      condition     = length(local.contexts) > 0
      error_message = "Name a branch, a tag or an environment: without one nothing can take the role."
    }
  }
}

resource "aws_iam_role_policy" "push" {
  name = "push-images"
  role = aws_iam_role.push.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = "ecr:GetAuthorizationToken"
        Resource = "*" # it has no resource
      },
      {
        Effect = "Allow"
        Action = [
          "ecr:BatchCheckLayerAvailability",
          "ecr:BatchGetImage",
          "ecr:CompleteLayerUpload",
          "ecr:GetDownloadUrlForLayer",
          "ecr:InitiateLayerUpload",
          "ecr:PutImage",
          "ecr:UploadLayerPart",
        ]
        Resource = var.ecr_repository_arns
      },
    ]
  })
}
