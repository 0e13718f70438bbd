"""Models of a Hugging Face hub or a mirror of one, read over HTTPS without downloading their weights."""
