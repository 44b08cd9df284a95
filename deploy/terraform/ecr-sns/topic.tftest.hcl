# terraform test: who may publish, applied with a provider that pretends.
mock_provider "aws" {
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/tallyman-sns-publish" }
  }
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:ap-northeast-2:123456789012:tallyman-sns" }
  }
  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:ap-northeast-2:123456789012:tallyman-sns-dead-letters" }
  }
  mock_resource "aws_cloudwatch_event_rule" {
    defaults = { arn = "arn:aws:events:ap-northeast-2:123456789012:rule/tallyman-sns" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
}

variables {
  url          = "https://tallyman.myshop.example/"
  repositories = ["myshop-api"]
}

run "the_role_alone_publishes" {
  command = apply

  assert {
    condition     = aws_cloudwatch_event_target.push.role_arn == aws_iam_role.publish.arn
    error_message = "EventBridge publishes as the service, which is any account's."
  }

  assert {
    condition     = [for s in jsondecode(aws_sns_topic_policy.push.policy).Statement : s.Principal if s.Effect == "Allow"] == [{ AWS = aws_iam_role.publish.arn }]
    error_message = "Somebody else may publish."
  }

  assert {
    condition     = [for s in jsondecode(aws_sns_topic_policy.push.policy).Statement : s.Condition.StringNotEquals["aws:PrincipalArn"] if s.Effect == "Deny"] == [aws_iam_role.publish.arn]
    error_message = "Others of the account may publish by their own policies."
  }

  assert {
    condition     = jsondecode(aws_iam_role.publish.assume_role_policy).Statement[0].Condition.ArnEquals["aws:SourceArn"] == aws_cloudwatch_event_rule.push.arn
    error_message = "Another rule can take the role."
  }
}
