"""Restore what a pass may change outside its module."""

from __future__ import annotations

import logging
import random
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch


@contextmanager
def kept() -> Iterator[None]:
    """Restore everything of the process that a pass may change, and disable what would change its course."""
    with ExitStack() as stack:
        for context in (seeds(), default_dtype(), separate_attention(), uncompiled(), quiet()):
            stack.enter_context(context)
        yield


@contextmanager
def seeds() -> Iterator[None]:
    """Restore the state of Python's and torch's generators on the processor."""
    before = random.getstate()
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            random.setstate(before)


@contextmanager
def default_dtype() -> Iterator[None]:
    before = torch.get_default_dtype()
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def separate_attention() -> Iterator[None]:
    """Make encoder layers call the functions that they are written in.

    Deployed files have no operator for torch's fused encoder layer, and on fake tensors it would hide what it computes.
    """
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextmanager
def uncompiled() -> Iterator[None]:
    """Run compiled functions and modules as they are written, without importing a compiler that was not used."""
    if "torch._dynamo" not in sys.modules:
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the stack that torch logs where a shape does not fit, because the error says it in a sentence."""
    logger = logging.getLogger("torch._subclasses.fake_tensor")
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before
