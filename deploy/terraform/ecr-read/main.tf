# A role that tallyman's pod takes to look at images: only where an environment has image rules for images in ECR. It may read the
# repositories that are named, and nothing else.

locals {
  irsa   = var.oidc_provider_arn != null
  issuer = local.irsa ? replace(var.oidc_provider_arn, "/^.*:oidc-provider\\//", "") : ""

  # IRSA: the cluster's OIDC provider says which service account a token is of.
  trust_irsa = {
    Effect    = "Allow"
    Action    = "sts:AssumeRoleWithWebIdentity"
    Principal = { Federated = var.oidc_provider_arn }
    Condition = {
      StringEquals = {
        "${local.issuer}:aud" = "sts.amazonaws.com"
        "${local.issuer}:sub" = "system:serviceaccount:${var.namespace}:${var.service_account}"
      }
    }
  }

  # EKS Pod Identity: EKS says it, in the tags of the session. The cluster's ARN names the account, too.
  trust_pod_identity = {
    Effect    = "Allow"
    Action    = ["sts:AssumeRole", "sts:TagSession"]
    Principal = { Service = "pods.eks.amazonaws.com" }
    Condition = {
      StringEquals = {
        "aws:RequestTag/eks-cluster-arn"            = var.cluster_arn
        "aws:RequestTag/kubernetes-namespace"       = var.namespace
        "aws:RequestTag/kubernetes-service-account" = var.service_account
      }
    }
  }
}

resource "aws_iam_role" "read" {
  name        = var.role_name
  description = "tallyman looks at images"

  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [for s in [local.trust_irsa, local.trust_pod_identity] : s if(s.Action == "sts:AssumeRoleWithWebIdentity") == local.irsa]
  })

  lifecycle {
    precondition {
      condition     = (var.oidc_provider_arn == null) != (var.cluster_arn == null)
      error_message = "Name the cluster's OIDC provider for IRSA, or the cluster for EKS Pod Identity, and not both: IRSA would win."
    }
  }
}

resource "aws_iam_role_policy" "read" {
  name = "read-images"
  role = aws_iam_role.read.id

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
        Action = concat(
          [
            "ecr:BatchGetImage",          # whether an image is there, and its digest
            "ecr:DescribeImages",         # archived or absent; polls
            "ecr:DescribeRepositories",   # tallyman check: whether tags are mutable
            "ecr:GetDownloadUrlForLayer", # the platform of an image that is for one; cosign's signatures
          ],
          var.ecr_signing ? ["ecr:DescribeImageSigningStatus"] : [],
        )
        Resource = var.ecr_repository_arns
      },
    ]
  })
}

resource "aws_eks_pod_identity_association" "read" {
  count = var.cluster_arn == null ? 0 : 1

  cluster_name    = split("/", var.cluster_arn)[1]
  namespace       = var.namespace
  service_account = var.service_account
  role_arn        = aws_iam_role.read.arn
}
