"""Fetch models and keep what is needed of them: ``fetch`` and ``resolve``.

Importing it loads neither onnx nor numpy, and the HTTP client only once a registry is asked.
"""

from joulecast.sources.budget import FetchBudget
from joulecast.sources.fetched import FetchedModel, Verification
from joulecast.sources.fetching import fetch, resolve
from joulecast.sources.registries.access import RegistryAccess
from joulecast.sources.registries.object_access import ObjectAccess
from joulecast.sources.skeletons.skeleton import DROPPED_LOCATION

__all__ = [
    "DROPPED_LOCATION",
    "FetchBudget",
    "FetchedModel",
    "ObjectAccess",
    "RegistryAccess",
    "Verification",
    "fetch",
    "resolve",
]
