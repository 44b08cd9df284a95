variable "name" {
  description = "What everything here is called."
  type        = string
  default     = "tallyman-ecr"
}

variable "url" {
  description = "Where tallyman is, as https://HOST. It must be a public name with a public certificate."
  type        = string
  validation {
    condition     = can(regex("^https://[^/]+/?$", var.url))
    error_message = "It must be https:// and a host, without a path."
  }
}

variable "repositories" {
  description = "Names of the ECR repositories whose pushes are sent."
  type        = list(string)
  validation {
    condition     = length(var.repositories) > 0
    error_message = "It must name at least one repository."
  }
}

variable "key_secret_arn" {
  description = "A secret of Secrets Manager whose text is one of sources.eventbridge.secretFiles."
  type        = string
}

variable "header" {
  description = "The header that carries it: sources.eventbridge.header."
  type        = string
  default     = "X-Tallyman-Key"
}

variable "alarm_actions" {
  description = "ARNs that are told when an event could not be delivered."
  type        = list(string)
  default     = []
}
