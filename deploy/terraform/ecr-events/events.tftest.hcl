# terraform test: what is sent where, planned with a provider that pretends.
mock_provider "aws" {}

variables {
  url            = "https://tallyman.myshop.example/"
  repositories   = ["myshop-api"]
  key_secret_arn = "arn:aws:secretsmanager:ap-northeast-2:123456789012:secret:tallyman-eventbridge"
}

run "pushes_go_to_the_receiver" {
  command = plan

  assert {
    condition     = aws_cloudwatch_event_api_destination.tallyman.invocation_endpoint == "https://tallyman.myshop.example/webhooks/ecr"
    error_message = "The path is not the receiver's."
  }

  assert {
    condition = jsondecode(aws_cloudwatch_event_rule.push.event_pattern) == {
      source      = ["aws.ecr"]
      detail-type = ["ECR Image Action", "ECR Replication Action"]
      detail      = { action-type = ["PUSH", "REPLICATE"], result = ["SUCCESS"], repository-name = ["myshop-api"] }
    }
    error_message = "The rule takes other events."
  }

  assert {
    condition     = aws_cloudwatch_event_connection.tallyman.auth_parameters[0].api_key[0].key == "X-Tallyman-Key"
    error_message = "The header is not the one that tallyman looks at by default."
  }
}

run "plain_http_is_refused" {
  command = plan

  variables {
    url = "http://tallyman.myshop.example"
  }

  expect_failures = [var.url]
}
