"""GGUF files as language models: their metadata as a configuration, the types of their tensors as storage."""

from joulecast.readers.gguf.reader import read as read
