"""Show an evaluation as tables, a page, an HTML file and pictures."""
