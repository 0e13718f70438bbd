"""Build the module of a named source with its library, always without weights, so that nothing is fetched."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from importlib import import_module
from inspect import signature
from typing import TYPE_CHECKING, Any

from joulecast.errors import JoulecastError, ModelReferenceError
from joulecast.readers.named.catalogue import by_source, known
from joulecast.readers.named.entry import Entry
from joulecast.readers.named.reference import LIBRARIES, Library, current, is_named, split

if TYPE_CHECKING:
    from torch import nn

_SUGGESTIONS = 5


def entry_named(source: str) -> Entry:
    """Return the network that ``source`` names: a listed one, or any other of the installed timm.

    Raises ModelReferenceError, with the closest names, for none.
    """
    found = by_source().get(current(source))
    if found is not None:
        return found
    if not is_named(source):
        forms = ", ".join(f"{library}:NAME" for library in LIBRARIES)
        raise ModelReferenceError(f"{source!r} is not a named network: write one as {forms}")
    library, name = split(source)
    if library == "timm":
        return _of_timm(name)
    raise _unknown(current(source), [split(each)[1] for each in known(library)])


def _of_timm(name: str) -> Entry:
    """Return a network of timm that is not listed, at the input size that timm states."""
    timm = package("timm")
    if not timm.is_model(name):
        raise _unknown(f"timm:{name}", timm.list_models())
    configuration = timm.get_pretrained_cfg(name)
    shape = configuration.input_size if configuration else (3, 224, 224)
    return Entry(library="timm", name=name, task="vision", family="", inputs={"x": ("batch", *shape)}, positional=True)


def _unknown(source: str, names: list[str]) -> ModelReferenceError:
    library, name = split(source)
    longer = [each for each in names if name and each.lower().startswith(name.lower())]
    close = [
        *longer,
        *(each for each in get_close_matches(name, names, _SUGGESTIONS, cutoff=0.5) if each not in longer),
    ]
    if close:
        hint = f"did you mean {', '.join(f'{library}:{each}' for each in close[:_SUGGESTIONS])}?"
    else:
        hint = f"one of them is {library}:{names[0]}"
    more = " Any other goes to joulecast.profile as a module" if library == "transformers" else ""
    return ModelReferenceError(f"{source!r} is not among the {len(names)} networks known under {library}: {hint}{more}")


def package(library: Library) -> Any:
    """Import the Python package of a prefix. Raises JoulecastError that says how to install it."""
    try:
        return import_module(library)
    except ImportError as error:
        raise JoulecastError(
            f"{library}:… needs the Python package {library} ({error}): pip install 'joulecast[torch]'",
            reason="MissingDependency",
        ) from error


def module_of(entry: Entry) -> nn.Module:
    """Build ``entry`` with its library in the default dtype. Raises ModelReferenceError if the library lacks it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # libraries announce what they will change in later versions
        module = _BUILDERS[entry.library](package(entry.library), entry)
    module.eval()
    return module.requires_grad_(False)


def _torchvision(torchvision: Any, entry: Entry) -> nn.Module:
    try:
        builder = torchvision.models.get_model_builder(entry.name)
    except ValueError:
        raise _lacks(torchvision, entry) from None
    backbone = {"weights_backbone": None} if "weights_backbone" in signature(builder).parameters else {}
    built: nn.Module = builder(weights=None, **backbone)
    return built


def _timm(timm: Any, entry: Entry) -> nn.Module:
    if not timm.is_model(entry.name):
        raise _lacks(timm, entry)
    built: nn.Module = timm.create_model(entry.name, pretrained=False)
    return built


def _transformers(transformers: Any, entry: Entry) -> nn.Module:
    model_class = getattr(transformers, entry.model_class, None)
    if model_class is None or getattr(model_class, "config_class", None) is None:
        raise _lacks(transformers, entry)
    configuration = model_class.config_class(**_settings(entry.config))
    if getattr(configuration, "use_cache", None):
        configuration.use_cache = False  # one forward pass keeps nothing for a next one
    built: nn.Module = model_class(configuration)
    return built


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: dict(value) if isinstance(value, Mapping) else value for name, value in config.items()}


def _lacks(library: Any, entry: Entry) -> ModelReferenceError:
    return ModelReferenceError(
        f"{library.__name__} {library.__version__} as installed has no {entry.model_class or entry.name},"
        f" which {entry.source} is built from: install a newer version"
    )


_BUILDERS: dict[Library, Callable[[Any, Entry], nn.Module]] = {
    "torchvision": _torchvision,
    "timm": _timm,
    "transformers": _transformers,
}
