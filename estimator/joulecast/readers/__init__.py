"""Model files into `ModelGraph`: the only modules that know a framework, each imported when it is needed."""
