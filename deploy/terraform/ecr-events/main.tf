# ECR's push events to tallyman: EventBridge rule -> API destination -> https://HOST/webhooks/ecr.

resource "aws_cloudwatch_event_rule" "push" {
  name        = var.name
  description = "Images that were pushed or replicated, for tallyman"

  # Manifests without a tag come, too, and tallyman answers them with 200.
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

# The value ends up in the state, which must be encrypted as every state must. EventBridge keeps it in Secrets Manager.
data "aws_secretsmanager_secret_version" "key" {
  secret_id = var.key_secret_arn
}

resource "aws_cloudwatch_event_connection" "tallyman" {
  name               = var.name
  description        = "How tallyman knows EventBridge"
  authorization_type = "API_KEY"

  auth_parameters {
    api_key {
      key   = var.header
      value = data.aws_secretsmanager_secret_version.key.secret_string
    }
  }
}

resource "aws_cloudwatch_event_api_destination" "tallyman" {
  name                             = var.name
  description                      = "tallyman"
  connection_arn                   = aws_cloudwatch_event_connection.tallyman.arn
  invocation_endpoint              = "${trimsuffix(var.url, "/")}/webhooks/ecr"
  http_method                      = "POST"
  invocation_rate_limit_per_second = 300
}

# The event goes out as it is: an input transformer does not escape what it puts in.
resource "aws_cloudwatch_event_target" "tallyman" {
  rule      = aws_cloudwatch_event_rule.push.name
  target_id = "tallyman"
  arn       = aws_cloudwatch_event_api_destination.tallyman.arn
  role_arn  = aws_iam_role.invoke.arn

  retry_policy {
    maximum_event_age_in_seconds = 86400
    maximum_retry_attempts       = 185
  }

  dead_letter_config {
    arn = aws_sqs_queue.dead.arn
  }

  depends_on = [aws_sqs_queue_policy.dead, aws_iam_role_policy.invoke]
}

resource "aws_iam_role" "invoke" {
  name = "${var.name}-invoke"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "events.amazonaws.com" }
      Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id } }
    }]
  })
}

data "aws_caller_identity" "current" {}

resource "aws_iam_role_policy" "invoke" {
  name = "invoke"
  role = aws_iam_role.invoke.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = "events:InvokeApiDestination"
      Resource = aws_cloudwatch_event_api_destination.tallyman.arn
    }]
  })
}

# What could not be delivered within a day, for a person to look at: the message is the event, its attributes say why.
resource "aws_sqs_queue" "dead" {
  name                      = "${var.name}-dead-letters"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
}

resource "aws_sqs_queue_policy" "dead" {
  queue_url = aws_sqs_queue.dead.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sqs:SendMessage"
      Principal = { Service = "events.amazonaws.com" }
      Resource  = aws_sqs_queue.dead.arn
      Condition = { ArnEquals = { "aws:SourceArn" = aws_cloudwatch_event_rule.push.arn } }
    }]
  })
}

resource "aws_cloudwatch_metric_alarm" "dead" {
  alarm_name          = "${var.name}-dead-letters"
  alarm_description   = "Push events that tallyman did not take within a day. Each names an image that was not released."
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
