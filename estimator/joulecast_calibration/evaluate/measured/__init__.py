"""Scores on rows of ``joulecast measure``: layers and networks of hundreds of architectures on one accelerator."""
