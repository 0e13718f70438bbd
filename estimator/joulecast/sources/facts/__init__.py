"""What the files of a language model say about it, without its weights: configuration, tensor names, dtypes, shapes."""
