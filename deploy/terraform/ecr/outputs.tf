output "repository_url" {
  description = "The image without tag: apps.<name>.repository in tallyman.yaml."
  value       = aws_ecr_repository.app.repository_url
}

output "repository_arn" {
  description = "The repository, for the role that pushes."
  value       = aws_ecr_repository.app.arn
}

output "name" {
  description = "The repository's name."
  value       = aws_ecr_repository.app.name
}
