# All of it for the example shop: one app, whose jobs push to ECR, and whose pushes tallyman hears of.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.81"
    }
  }
}

provider "aws" {
  region = var.region
}

variable "region" {
  description = "Where the images are."
  type        = string
  default     = "ap-northeast-2"
}

variable "tallyman_url" {
  description = "Where tallyman is, as https://HOST."
  type        = string
  default     = "https://tallyman.myshop.example"
}

variable "eventbridge_key_secret_arn" {
  description = "The secret that EventBridge shows tallyman; see docs/adopt.md. Without it pushes are not sent, and jobs order their updates."
  type        = string
  default     = null
}

variable "cluster_arn" {
  description = "The EKS cluster that tallyman runs in. Without it tallyman's pod gets no role, and looks at no images."
  type        = string
  default     = null
}

module "images" {
  source = "../../ecr"

  name = "myshop-api"
}

module "build_role" {
  source = "../../github-oidc"

  role_name           = "myshop-api-build"
  repository          = "myshop/myshop-api"
  repository_id       = "901234567" # gh api repos/myshop/myshop-api --jq .id
  owner_id            = "81234567"  # gh api repos/myshop/myshop-api --jq .owner.id
  branches            = ["main"]
  tags                = ["v*"]
  ecr_repository_arns = [module.images.repository_arn]
}

module "read_role" {
  source = "../../ecr-read"
  count  = var.cluster_arn == null ? 0 : 1

  cluster_arn         = var.cluster_arn
  ecr_repository_arns = [module.images.repository_arn]
}

module "push_events" {
  source = "../../ecr-events"
  count  = var.eventbridge_key_secret_arn == null ? 0 : 1

  url            = var.tallyman_url
  repositories   = [module.images.name]
  key_secret_arn = var.eventbridge_key_secret_arn
}

output "build_role" {
  description = "The repository variable AWS_ROLE."
  value       = module.build_role.role_arn
}

output "image" {
  description = "apps.myshop-api.repository in tallyman.yaml."
  value       = module.images.repository_url
}
