"""Build loads of the passes of language models that generate."""
