"""Read model files into `ModelGraph`. Only these modules import a framework, each when it is needed."""
