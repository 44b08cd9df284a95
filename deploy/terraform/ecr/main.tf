# An app's images. Tags are immutable: what was tested under a tag is what runs under it.

resource "aws_ecr_repository" "app" {
  name                 = var.name
  image_tag_mutability = "IMMUTABLE"

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = var.kms_key_arn == null ? "AES256" : "KMS"
    kms_key         = var.kms_key_arn
  }
}

resource "aws_ecr_lifecycle_policy" "app" {
  repository = aws_ecr_repository.app.name

  # Versions stay for good: an old one is what one goes back to. The first rule expires none; an image that it matches is no
  # later rule's, so one that has a version's tag and one of main's stays. The manifests of an image for several platforms have no tag,
  # and stay for as long as the index that names them.
  policy = jsonencode({
    rules = [
      {
        rulePriority = 1
        description  = "Versions stay"
        selection = {
          tagStatus      = "tagged"
          tagPatternList = ["*.*.*"]
          countType      = "imageCountMoreThan"
          countNumber    = 100000
        }
        action = { type = "expire" }
      },
      {
        rulePriority = 2
        description  = "Images of main, but the newest"
        selection = {
          tagStatus     = "tagged"
          tagPrefixList = ["main-"]
          countType     = "imageCountMoreThan"
          countNumber   = var.keep_main
        }
        action = { type = "expire" }
      },
      {
        rulePriority = 3
        description  = "What nothing names"
        selection = {
          tagStatus   = "untagged"
          countType   = "sinceImagePushed"
          countUnit   = "days"
          countNumber = var.keep_untagged_days
        }
        action = { type = "expire" }
      },
    ]
  })
}
