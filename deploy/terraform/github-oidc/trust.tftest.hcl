# terraform test: who may take the role, planned with a provider that pretends.
mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
}

variables {
  role_name           = "build"
  repository          = "myshop/myshop-api"
  repository_id       = "901234567"
  owner_id            = "81234567"
  ecr_repository_arns = ["arn:aws:ecr:ap-northeast-2:123456789012:repository/myshop-api"]
  create_provider     = false
}

run "both_shapes_of_sub" {
  command = plan

  assert {
    condition = toset(jsondecode(aws_iam_role.push.assume_role_policy).Statement[0].Condition.StringLike["token.actions.githubusercontent.com:sub"]) == toset([
      "repo:myshop/myshop-api:ref:refs/heads/main",
      "repo:myshop/myshop-api:ref:refs/tags/v*",
      "repo:myshop@81234567/myshop-api@901234567:ref:refs/heads/main",
      "repo:myshop@81234567/myshop-api@901234567:ref:refs/tags/v*",
    ])
    error_message = "The trusted subjects are not those of main and of versions, in both shapes."
  }

  assert {
    condition     = jsondecode(aws_iam_role.push.assume_role_policy).Statement[0].Condition.StringEquals["token.actions.githubusercontent.com:aud"] == "sts.amazonaws.com"
    error_message = "Tokens for somebody else are taken."
  }

  assert {
    condition     = jsondecode(aws_iam_role.push.assume_role_policy).Statement[0].Principal.Federated == "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
    error_message = "The provider is another."
  }

  assert {
    condition     = [for s in jsondecode(aws_iam_role_policy.push.policy).Statement : s.Action if s.Resource == "*"] == ["ecr:GetAuthorizationToken"]
    error_message = "Something but the login may be done everywhere."
  }
}

run "numbers_alone" {
  command = plan

  variables {
    legacy_subject = false
    branches       = []
    tags           = []
    environments   = ["prod"]
  }

  assert {
    condition     = join(" ", output.subjects) == "repo:myshop@81234567/myshop-api@901234567:environment:prod"
    error_message = "The name alone is trusted."
  }
}

run "a_wildcard_is_refused" {
  command = plan

  variables {
    branches = ["*"]
  }

  expect_failures = [var.branches]
}

run "every_tag_is_refused" {
  command = plan

  variables {
    tags = ["**"]
  }

  expect_failures = [var.tags]
}

run "nobody_is_refused" {
  command = plan

  variables {
    branches = []
    tags     = []
  }

  expect_failures = [aws_iam_role.push]
}
