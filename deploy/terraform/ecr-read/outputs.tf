output "role_arn" {
  description = "The role: with IRSA the value of the annotation eks.amazonaws.com/role-arn."
  value       = aws_iam_role.read.arn
}
