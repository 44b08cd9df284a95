# terraform test: who may take the role, and what it may do, planned with a provider that pretends.
mock_provider "aws" {}

variables {
  ecr_repository_arns = ["arn:aws:ecr:ap-northeast-2:123456789012:repository/myshop-api"]
}

run "irsa" {
  command = plan

  variables {
    oidc_provider_arn = "arn:aws:iam::123456789012:oidc-provider/oidc.eks.ap-northeast-2.amazonaws.com/id/ABC"
  }

  assert {
    condition = jsondecode(aws_iam_role.read.assume_role_policy).Statement == [{
      Effect    = "Allow"
      Action    = "sts:AssumeRoleWithWebIdentity"
      Principal = { Federated = "arn:aws:iam::123456789012:oidc-provider/oidc.eks.ap-northeast-2.amazonaws.com/id/ABC" }
      Condition = { StringEquals = {
        "oidc.eks.ap-northeast-2.amazonaws.com/id/ABC:aud" = "sts.amazonaws.com"
        "oidc.eks.ap-northeast-2.amazonaws.com/id/ABC:sub" = "system:serviceaccount:tallyman:tallyman"
      } }
    }]
    error_message = "Somebody but tallyman's service account may take the role."
  }

  assert {
    condition     = length(aws_eks_pod_identity_association.read) == 0
    error_message = "There is an association, and pod_identity is not set."
  }

  assert {
    condition     = [for s in jsondecode(aws_iam_role_policy.read.policy).Statement : s.Action if s.Resource == "*"] == ["ecr:GetAuthorizationToken"]
    error_message = "Something but the login may be done everywhere."
  }

  assert {
    condition = toset(jsondecode(aws_iam_role_policy.read.policy).Statement[1].Action) == toset([
      "ecr:BatchGetImage", "ecr:DescribeImages", "ecr:DescribeRepositories", "ecr:GetDownloadUrlForLayer",
    ])
    error_message = "It may do something that tallyman does not."
  }
}

run "pod_identity_and_signing" {
  command = plan

  variables {
    cluster_arn = "arn:aws:eks:ap-northeast-2:123456789012:cluster/shop"
    namespace   = "releases"
    ecr_signing = true
  }

  assert {
    condition = jsondecode(aws_iam_role.read.assume_role_policy).Statement == [{
      Effect    = "Allow"
      Action    = ["sts:AssumeRole", "sts:TagSession"]
      Principal = { Service = "pods.eks.amazonaws.com" }
      Condition = { StringEquals = {
        "aws:RequestTag/eks-cluster-arn"            = "arn:aws:eks:ap-northeast-2:123456789012:cluster/shop"
        "aws:RequestTag/kubernetes-namespace"       = "releases"
        "aws:RequestTag/kubernetes-service-account" = "tallyman"
      } }
    }]
    error_message = "Somebody but tallyman's service account in this cluster may take the role."
  }

  assert {
    condition     = aws_eks_pod_identity_association.read[0].cluster_name == "shop" && aws_eks_pod_identity_association.read[0].namespace == "releases"
    error_message = "The association is not the service account's."
  }

  assert {
    condition     = contains(jsondecode(aws_iam_role_policy.read.policy).Statement[1].Action, "ecr:DescribeImageSigningStatus")
    error_message = "The status of signing cannot be read."
  }
}

run "neither" {
  command         = plan
  expect_failures = [aws_iam_role.read]
}

run "both" {
  command = plan
  variables {
    oidc_provider_arn = "arn:aws:iam::123456789012:oidc-provider/oidc.eks.ap-northeast-2.amazonaws.com/id/ABC"
    cluster_arn       = "arn:aws:eks:ap-northeast-2:123456789012:cluster/shop"
  }
  expect_failures = [aws_iam_role.read]
}
