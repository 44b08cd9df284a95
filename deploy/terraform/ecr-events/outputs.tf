output "rule_arn" {
  description = "The rule."
  value       = aws_cloudwatch_event_rule.push.arn
}

output "dead_letter_queue_url" {
  description = "Where events end up that could not be delivered."
  value       = aws_sqs_queue.dead.url
}
