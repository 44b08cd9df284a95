output "role_arn" {
  description = "The role, for role-to-assume."
  value       = aws_iam_role.push.arn
}

output "subjects" {
  description = "The sub claims that are trusted."
  value       = local.subjects
}
