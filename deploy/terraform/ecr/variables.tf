variable "name" {
  description = "The repository's name, such as myshop-api."
  type        = string
}

variable "kms_key_arn" {
  description = "A KMS key to encrypt with. Default: a key of AWS's own."
  type        = string
  default     = null
}

variable "keep_main" {
  description = "How many images of main stay. Keep more than dev could be behind."
  type        = number
  default     = 200
  validation {
    condition     = var.keep_main >= 10
    error_message = "It must be at least 10, or what runs in dev may be deleted."
  }
}

variable "keep_untagged_days" {
  description = "How many days an image stays that nothing names."
  type        = number
  default     = 14
}
