# The same events by way of SNS, for where API destinations cannot be used: EventBridge rule -> topic -> https://HOST/webhooks/sns.
# SNS signs what it sends, so there is no shared secret. It tries for less long than EventBridge: an hour at most.

resource "aws_cloudwatch_event_rule" "push" {
  name        = var.name
  description = "Images that were pushed or replicated, for tallyman"

  event_pattern = jsonencode({
    source      = ["aws.ecr"]
    detail-type = ["ECR Image Action", "ECR Replication Action"]
    detail = {
      action-type     = ["PUSH", "REPLICATE"]
      result          = ["SUCCESS"]
      repository-name = var.repositories
    }
  })
}

resource "aws_sns_topic" "push" {
  name              = var.name
  signature_version = 2 # SHA-256; the default is SHA-1
}

# EventBridge publishes as this role, which only this rule takes on. Without a role it publishes as the service itself, and then a
# topic cannot tell this account's rules from those of any other.
resource "aws_iam_role" "publish" {
  name = "${var.name}-publish"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "events.amazonaws.com" }
      Condition = {
        StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id }
        ArnEquals    = { "aws:SourceArn" = aws_cloudwatch_event_rule.push.arn }
      }
    }]
  })
}

data "aws_caller_identity" "current" {}

resource "aws_iam_role_policy" "publish" {
  name = "publish"
  role = aws_iam_role.publish.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = "sns:Publish"
      Resource = aws_sns_topic.push.arn
    }]
  })
}

# Whoever may publish can say that an image was pushed: that role alone, also where another of this account has the right to
# publish to every topic.
resource "aws_sns_topic_policy" "push" {
  arn = aws_sns_topic.push.arn

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect    = "Allow"
        Action    = "sns:Publish"
        Principal = { AWS = aws_iam_role.publish.arn }
        Resource  = aws_sns_topic.push.arn
      },
      {
        Effect    = "Deny"
        Action    = "sns:Publish"
        Principal = "*"
        Resource  = aws_sns_topic.push.arn
        Condition = { StringNotEquals = { "aws:PrincipalArn" = aws_iam_role.publish.arn } }
      },
    ]
  })
}

resource "aws_cloudwatch_event_target" "push" {
  rule      = aws_cloudwatch_event_rule.push.name
  target_id = "tallyman"
  arn       = aws_sns_topic.push.arn
  role_arn  = aws_iam_role.publish.arn

  retry_policy {
    maximum_event_age_in_seconds = 86400
    maximum_retry_attempts       = 185
  }

  dead_letter_config {
    arn = aws_sqs_queue.dead.arn
  }

  depends_on = [aws_sns_topic_policy.push, aws_iam_role_policy.publish, aws_sqs_queue_policy.dead]
}

# tallyman confirms the subscription itself, so it must run before this is applied.
resource "aws_sns_topic_subscription" "tallyman" {
  topic_arn                       = aws_sns_topic.push.arn
  protocol                        = "https"
  endpoint                        = "${trimsuffix(var.url, "/")}/webhooks/sns"
  endpoint_auto_confirms          = true
  confirmation_timeout_in_minutes = 5
  raw_message_delivery            = false # raw messages have no signature

  delivery_policy = jsonencode({
    healthyRetryPolicy = {
      numRetries         = 100
      numNoDelayRetries  = 3
      minDelayTarget     = 5
      maxDelayTarget     = 40
      numMinDelayRetries = 5
      numMaxDelayRetries = 80
      backoffFunction    = "exponential"
    }
  })

  redrive_policy = jsonencode({ deadLetterTargetArn = aws_sqs_queue.dead.arn })
}

resource "aws_sqs_queue" "dead" {
  name                      = "${var.name}-dead-letters"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
}

resource "aws_sqs_queue_policy" "dead" {
  queue_url = aws_sqs_queue.dead.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect    = "Allow"
        Action    = "sqs:SendMessage"
        Principal = { Service = "events.amazonaws.com" }
        Resource  = aws_sqs_queue.dead.arn
        Condition = { ArnEquals = { "aws:SourceArn" = aws_cloudwatch_event_rule.push.arn } }
      },
      {
        Effect    = "Allow"
        Action    = "sqs:SendMessage"
        Principal = { Service = "sns.amazonaws.com" }
        Resource  = aws_sqs_queue.dead.arn
        Condition = { ArnEquals = { "aws:SourceArn" = aws_sns_topic.push.arn } }
      },
    ]
  })
}

resource "aws_cloudwatch_metric_alarm" "dead" {
  alarm_name          = "${var.name}-dead-letters"
  alarm_description   = "Push events that tallyman did not take. Each names an image that was not released."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.dead.name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
}
