variable "repository" {
  description = "The app's GitHub repository, as owner/name."
  type        = string
  validation {
    condition     = can(regex("^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$", var.repository))
    error_message = "It must be owner/name, without a wildcard."
  }
}

variable "repository_id" {
  description = "The repository's number: gh api repos/OWNER/NAME --jq .id"
  type        = string
  validation {
    condition     = can(regex("^[1-9][0-9]*$", var.repository_id))
    error_message = "It must be a number."
  }
}

variable "owner_id" {
  description = "The owner's number: gh api repos/OWNER/NAME --jq .owner.id"
  type        = string
  validation {
    condition     = can(regex("^[1-9][0-9]*$", var.owner_id))
    error_message = "It must be a number."
  }
}

variable "legacy_subject" {
  description = "Whether the sub claim without numbers is taken, too. Turn it off once the repository's tokens have the other: a name that was given up can be taken over."
  type        = bool
  default     = true
}

variable "branches" {
  description = "Branches whose jobs may take the role."
  type        = list(string)
  default     = ["main"]
  validation {
    condition     = alltrue([for branch in var.branches : !strcontains(branch, "*") && !strcontains(branch, "?")])
    error_message = "A branch must be named in full: whoever may push any branch would otherwise push images."
  }
}

variable "tags" {
  description = "Patterns of git tags whose jobs may take the role; * stands for anything."
  type        = list(string)
  default     = ["v*"]
  validation {
    condition     = alltrue([for tag in var.tags : can(regex("^[^*?]", tag))])
    error_message = "A pattern must begin with a letter of the tag's: every tag is too many."
  }
}

variable "environments" {
  description = "GitHub environments whose jobs may take the role, whatever their branch."
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for name in var.environments : !strcontains(name, "*") && !strcontains(name, "?")])
    error_message = "An environment must be named in full."
  }
}

variable "ecr_repository_arns" {
  description = "ARNs of the ECR repositories that may be pushed to."
  type        = list(string)
  validation {
    condition     = length(var.ecr_repository_arns) > 0
    error_message = "It must name at least one repository."
  }
}

variable "role_name" {
  description = "The role's name."
  type        = string
}

variable "create_provider" {
  description = "Whether to make GitHub's identity provider. An account has one: false for every role but the first."
  type        = bool
  default     = true
}
