package registry

// ListAtMost has lists end after so many tags.
func (c *Client) ListAtMost(tags int) { c.mostTags = tags }
