output "topic_arn" {
  description = "The topic: sources.sns.topics in tallyman.yaml."
  value       = aws_sns_topic.push.arn
}

output "dead_letter_queue_url" {
  description = "Where events end up that could not be delivered."
  value       = aws_sqs_queue.dead.url
}
