"""triarb."""
