"""The weights that a model's files hold, told by their headers, against those that its configuration describes."""
