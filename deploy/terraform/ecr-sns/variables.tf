variable "name" {
  description = "What everything here is called."
  type        = string
  default     = "tallyman-sns"
}

variable "url" {
  description = "Where tallyman is, as https://HOST. Its certificate must be one that is publicly trusted."
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

variable "alarm_actions" {
  description = "ARNs that are told when an event could not be delivered."
  type        = list(string)
  default     = []
}
