"""Fit the published forms that are linear in their coefficients, in joules or in the logarithm of joules.

A form is the terms that it has for each network. All layer types are fitted at once on terms summed by type, because
the sum of linear regressions is one linear regression.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from joulecast.energy.features import Array
from joulecast_calibration.evaluate.systems.adaptation import Form
from joulecast_calibration.evaluate.systems.features import KINDS, SIZES, NetworkFeatures
from joulecast_calibration.evaluate.systems.least_squares import nonnegative, ordinary
from joulecast_calibration.rows.networks import Truth

Terms = Callable[[NetworkFeatures], Array]
"""Terms of networks, (networks, terms)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Regression:
    """A fitted form: joules are the terms times ``coefficients``.

    - ``coefficients``: (terms,).
    - ``logarithmic``: whether that product is the logarithm of the joules.
    """

    terms: Terms
    coefficients: Array
    logarithmic: bool = False

    def predict(self, networks: NetworkFeatures) -> Array:
        found: Array = self.terms(networks) @ self.coefficients
        return np.exp(found) if self.logarithmic else found


def linear(terms: Terms) -> Form:
    """Return the form that fits coefficients ≥ 0 by least squares of relative errors."""

    def fit(networks: NetworkFeatures, truth: Truth, weight: Array) -> Regression:
        return Regression(terms=terms, coefficients=nonnegative(terms(networks), truth.joules, weight))

    return fit


def power_law(terms: Terms) -> Form:
    """Return the form that fits logarithms by ordinary least squares."""

    def fit(networks: NetworkFeatures, truth: Truth, weight: Array) -> Regression:
        coefficients = ordinary(terms(networks) * weight[:, None], np.log(truth.joules) * weight)
        return Regression(terms=terms, coefficients=coefficients, logarithmic=True)

    return fit


def mac_linear(networks: NetworkFeatures) -> Array:
    """y = a·MACs + b (after Desislavov, Martínez-Plumed & Hernández-Orallo 2023)."""
    return np.column_stack([networks.total("macs"), np.ones(networks.size)])


def hidden_joules(networks: NetworkFeatures) -> Array:
    """y = e^c · MACs^A · activations^B · params^C, in logarithms (Yang & Armour 2025)."""
    sizes = np.column_stack([networks.total("macs"), networks.activations, networks.params])
    return np.column_stack([np.ones(networks.size), np.log(np.maximum(sizes, 1.0))])


_WATTLAYER = [SIZES.index(name) for name in ("macs", "activations", "params", "input")]


def wattlayer(networks: NetworkFeatures) -> Array:
    """By layer type MACs, activations, parameters, input size, batch size and a constant (after Sardi et al. 2026)."""
    counts = networks.counts[:, :, None]
    terms = np.concatenate([networks.sums[:, :, _WATTLAYER], counts * networks.batch_sizes[:, None, None], counts], 2)
    return terms.reshape(networks.size, -1)


_IN_MACS = [KINDS.index(name) for name in ("convolution", "linear", "attention", "recurrent")]
_POLYNOMIAL = [KINDS.index(name) for name in ("squashing", "pooling", "normalisation", "other")]
_IN_ELEMENTS = [KINDS.index("rectifier"), *_POLYNOMIAL]
_MACS, _ELEMENTS = SIZES.index("macs"), SIZES.index("input")


def getzner(networks: NetworkFeatures) -> Array:
    """By layer type linear in MACs or elements, or a polynomial of degree 2 in elements (Getzner et al. 2023)."""
    sums, squares = networks.sums, networks.products[:, _POLYNOMIAL, _ELEMENTS, _ELEMENTS]
    linear_terms = [networks.counts, sums[:, _IN_MACS, _MACS], sums[:, _IN_ELEMENTS, _ELEMENTS]]
    return np.concatenate([*linear_terms, squares], axis=1)
