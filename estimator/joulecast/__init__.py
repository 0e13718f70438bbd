"""Forecast how many joules a neural network spends per batch on a given GPU, before it is deployed.

>>> import joulecast
>>> profile = joulecast.profile("model.onnx", batch_size=32)           # exact counts, no GPU, no weights read
>>> forecast = joulecast.estimate(profile, accelerator="NVIDIA-H200")  # joules, seconds, watts, with an interval

>>> plan = joulecast.plan("model.onnx")  # the accelerator and batch size of least joules, where intervals tell them

``fetch``, ``read``, ``canonicalise`` and ``count`` are the stages behind ``profile``, one by one. Importing this
package loads none of onnx, numpy or torch: a name is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from joulecast.api.documents import estimate_document as estimate_document
    from joulecast.api.documents import profile_document as profile_document
    from joulecast.api.documents import profile_from_document as profile_from_document
    from joulecast.api.forecasting import estimate as estimate
    from joulecast.api.generating import estimate_generation as estimate_generation
    from joulecast.api.generation import GenerationEstimate as GenerationEstimate
    from joulecast.api.profiling import profile as profile
    from joulecast.api.profiling import read as read
    from joulecast.canonical import canonicalise as canonicalise
    from joulecast.counting import count as count
    from joulecast.energy.model import EnergyEstimate as EnergyEstimate
    from joulecast.energy.model import LayerEnergy as LayerEnergy
    from joulecast.energy.profile import AcceleratorProfile as AcceleratorProfile
    from joulecast.errors import JoulecastError as JoulecastError
    from joulecast.errors import MeasurementError as MeasurementError
    from joulecast.errors import ModelFetchError as ModelFetchError
    from joulecast.errors import ModelFormatError as ModelFormatError
    from joulecast.errors import ModelReferenceError as ModelReferenceError
    from joulecast.errors import NotCalibratedError as NotCalibratedError
    from joulecast.errors import UnknownAcceleratorError as UnknownAcceleratorError
    from joulecast.errors import UnresolvedShapeError as UnresolvedShapeError
    from joulecast.errors import UnsupportedOperatorError as UnsupportedOperatorError
    from joulecast.errors import WorkloadError as WorkloadError
    from joulecast.graph import ModelGraph as ModelGraph
    from joulecast.layers import Coverage as Coverage
    from joulecast.layers import LayerProfile as LayerProfile
    from joulecast.layers import ModelProfile as ModelProfile
    from joulecast.layers import Totals as Totals
    from joulecast.layers import Workload as Workload
    from joulecast.planning.choice import Plan as Plan
    from joulecast.planning.documents import plan_document as plan_document
    from joulecast.planning.links import Link as Link
    from joulecast.planning.plans import plan as plan
    from joulecast.planning.settings import Objective as Objective
    from joulecast.planning.settings import Setting as Setting
    from joulecast.planning.splits import split as split
    from joulecast.planning.splits import split_document as split_document
    from joulecast.serving.requests import GenerationRequest as GenerationRequest
    from joulecast.site import Site as Site
    from joulecast.site import SiteCost as SiteCost
    from joulecast.site import cost_at as cost_at
    from joulecast.sources import FetchBudget as FetchBudget
    from joulecast.sources import FetchedModel as FetchedModel
    from joulecast.sources import RegistryAccess as RegistryAccess
    from joulecast.sources import fetch as fetch

_ERRORS = (
    "JoulecastError",
    "MeasurementError",
    "ModelFetchError",
    "ModelFormatError",
    "ModelReferenceError",
    "NotCalibratedError",
    "UnknownAcceleratorError",
    "UnresolvedShapeError",
    "UnsupportedOperatorError",
    "WorkloadError",
)

_EXPORTS = {
    "AcceleratorProfile": "energy.profile",
    "canonicalise": "canonical",
    "count": "counting",
    "estimate_document": "api.documents",
    "profile_document": "api.documents",
    "profile_from_document": "api.documents",
    "EnergyEstimate": "energy.model",
    "LayerEnergy": "energy.model",
    **dict.fromkeys(_ERRORS, "errors"),
    "estimate": "api.forecasting",
    "GenerationEstimate": "api.generation",
    "estimate_generation": "api.generating",
    "GenerationRequest": "serving.requests",
    "ModelGraph": "graph",
    "Coverage": "layers",
    "LayerProfile": "layers",
    "ModelProfile": "layers",
    "Totals": "layers",
    "Workload": "layers",
    "Link": "planning.links",
    "split": "planning.splits",
    "split_document": "planning.splits",
    "Objective": "planning.settings",
    "Plan": "planning.choice",
    "plan": "planning.plans",
    "plan_document": "planning.documents",
    "Setting": "planning.settings",
    "Site": "site",
    "SiteCost": "site",
    "cost_at": "site",
    "profile": "api.profiling",
    "read": "api.profiling",
    "FetchBudget": "sources",
    "FetchedModel": "sources",
    "RegistryAccess": "sources",
    "fetch": "sources",
}
"""Public name -> the module that holds it."""

__all__ = sorted([*_EXPORTS, "__version__"])


def __getattr__(name: str) -> object:
    if name == "__version__":
        return _version()
    if name not in _EXPORTS:
        raise AttributeError(f"module 'joulecast' has no attribute {name!r}")
    value = getattr(import_module(f"joulecast.{_EXPORTS[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _version() -> str:
    from importlib.metadata import version

    return version("joulecast")
