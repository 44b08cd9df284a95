variable "role_name" {
  description = "The role's name."
  type        = string
  default     = "tallyman"
}

variable "ecr_repository_arns" {
  description = "The repositories whose images are looked at. Those of another account need a policy that allows this role, too."
  type        = list(string)
  validation {
    condition     = length(var.ecr_repository_arns) > 0 && alltrue([for arn in var.ecr_repository_arns : can(regex("^arn:[a-z-]+:ecr:[a-z0-9-]+:[0-9]{12}:repository/.+$", arn))])
    error_message = "It must name at least one repository, each as arn:aws:ecr:REGION:ACCOUNT:repository/NAME."
  }
}

variable "ecr_signing" {
  description = "Whether an environment has image.ecrSigning."
  type        = bool
  default     = false
}

variable "namespace" {
  description = "tallyman's namespace."
  type        = string
  default     = "tallyman"
}

variable "service_account" {
  description = "tallyman's service account: the chart's name, or serviceAccount.name."
  type        = string
  default     = "tallyman"
}

variable "oidc_provider_arn" {
  description = "For IRSA: the cluster's OIDC provider in IAM. Annotate the service account with the role: serviceAccount.annotations of the chart."
  type        = string
  default     = null
  validation {
    condition     = var.oidc_provider_arn == null || can(regex("^arn:[a-z-]+:iam::[0-9]{12}:oidc-provider/.+$", var.oidc_provider_arn))
    error_message = "It must be arn:aws:iam::ACCOUNT:oidc-provider/ISSUER."
  }
}

variable "cluster_arn" {
  description = "For EKS Pod Identity: the cluster, which has the agent as an add-on. The service account needs no annotation."
  type        = string
  default     = null
  validation {
    condition     = var.cluster_arn == null || can(regex("^arn:[a-z-]+:eks:[a-z0-9-]+:[0-9]{12}:cluster/[^/]+$", var.cluster_arn))
    error_message = "It must be arn:aws:eks:REGION:ACCOUNT:cluster/NAME."
  }
}
