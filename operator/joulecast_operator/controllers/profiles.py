"""Reconcile AcceleratorEnergyProfiles: check each in a worker, write its status, and keep it if it is usable."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from joulecast.errors import JoulecastError
from joulecast_operator.api.conditions import Waiting, Wrong, invalid_spec
from joulecast_operator.api.kinds import CONFIG_MAPS, PROFILES
from joulecast_operator.api.objects import Key, Resource
from joulecast_operator.api.products import product_named
from joulecast_operator.api.profiles import AcceleratorEnergyProfile, ConfigMapReference, ProfileSpec
from joulecast_operator.cluster.client import ApiError, Cluster
from joulecast_operator.cluster.writer import Writer
from joulecast_operator.controllers.outcome_log import UNCOUNTED, OutcomeLog
from joulecast_operator.estimates.forecasts import Forecaster
from joulecast_operator.index.index import Index
from joulecast_operator.profiles.status import profile_status
from joulecast_operator.profiles.usable import SUPERSEDED, Candidate, Override, UsableProfiles, calibrated_at


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedProfile:
    """A usable profile.

    - ``candidate``: the profile, which is used unless another of its product and runtime is.
    - ``facts``: what the worker read from it: ``origin`` and ``held_out_error``.
    """

    candidate: Candidate
    facts: Mapping[str, Any]

    @property
    def shown(self) -> Mapping[str, Any]:
        """Return the facts that the status shows."""
        return {**self.facts, "calibrated_at": self.candidate.calibrated_at or None}


class Profiles:
    """Reconciles profiles. ``namespace``: joulecast's own. ``on_change`` is called when the usable profiles changed."""

    def __init__(
        self,
        *,
        index: Index,
        cluster: Cluster,
        writer: Writer,
        forecasts: Forecaster,
        namespace: str,
        on_change: Callable[[], None],
        outcome_log: OutcomeLog = UNCOUNTED,
    ) -> None:
        self._outcome_log = outcome_log
        self._index = index
        self._cluster = cluster
        self._writer = writer
        self._forecasts = forecasts
        self._namespace = namespace
        self._on_change = on_change
        self._usable = UsableProfiles()
        self._known: dict[Key, CheckedProfile] = {}

    def overrides(self) -> list[Override]:
        """Return the profiles in use, one for each product and runtime."""
        return [candidate.override for candidate in self._usable.all_in_use()]

    def in_use(self, product: str, runtime: str) -> tuple[Key, Override] | None:
        """Return the cluster's profile in use for an accelerator and runtime; None if the shipped one is used."""
        found = self._usable.in_use(product_named(product), runtime)
        return (found.key, found.override) if found else None

    async def load(self, key: Key) -> None:
        """Keep the profile of ``key`` if it is usable. Its status is written later, when all profiles are known."""
        profile = self._index.resource(key)
        if profile is not None:
            await self._check(key, profile)

    async def reconcile(self, key: Key) -> None:
        """Check the profile of ``key`` and write its status."""
        profile = self._index.resource(key)
        if profile is None:
            self._hold(key, None)
            return
        try:
            result = await self._check(key, profile)
        except JoulecastError as error:
            waiting = Waiting(reason=error.reason, message=f"{error}; it is tried again with increasing pauses")
            await self._say(profile, waiting)
            raise
        await self._say(profile, self._superseded(result) if isinstance(result, CheckedProfile) else result)

    async def _check(self, key: Key, profile: Resource) -> CheckedProfile | Wrong:
        """Check the profile and keep it if it is usable. Raises JoulecastError or ApiError if it cannot be checked now.

        The object's earlier content is used until its present content has been read, and not after that.
        """
        override = await self._override(profile)
        if isinstance(override, Wrong):
            self._hold(key, None)
            return override
        known = self._known.get(key)
        candidate = Candidate(key=key, override=override, calibrated_at=calibrated_at(profile))
        if known is not None and known.candidate.override == override:
            checked = replace(known, candidate=candidate)
        else:
            facts = await self._facts(key, override)
            if isinstance(facts, Wrong):
                return facts
            checked = CheckedProfile(candidate=candidate, facts=facts)
        self._hold(key, candidate)
        self._known[key] = checked
        return checked

    def _superseded(self, checked: CheckedProfile) -> CheckedProfile | Wrong:
        """Return ``checked``, or Wrong with reason Superseded while another profile of its accelerator is used."""
        product, runtime = checked.candidate.place
        used = self._usable.in_use(product, runtime)
        if used is None or used.key == checked.candidate.key:
            return checked
        since = f", calibrated at {used.calibrated_at}," if used.calibrated_at else ""
        return Wrong(
            reason=SUPERSEDED,
            message=f"AcceleratorEnergyProfile {used.key.name}{since} is used for {product} under {runtime}: of several"
            " profiles the one calibrated last is used, and of those of the same time the first by name; delete it to"
            " use this one",
        )

    async def _say(self, profile: Resource, result: CheckedProfile | Wrong | Waiting) -> None:
        facts: Wrong | Waiting | Mapping[str, Any] = result.shown if isinstance(result, CheckedProfile) else result
        digest = result.candidate.override.digest if isinstance(result, CheckedProfile) else None
        status = profile_status(profile, facts, digest=digest, now=datetime.now(UTC))
        written = await self._writer.status(PROFILES, profile, status)
        self._outcome_log.profile(profile, facts, written=written)

    def _hold(self, key: Key, candidate: Candidate | None) -> None:
        if candidate is None:
            self._known.pop(key, None)
        if self._usable.hold(key, candidate):
            self._on_change()

    async def _override(self, profile: Resource) -> Override | Wrong:
        try:
            spec = AcceleratorEnergyProfile.model_validate(profile).spec
        except ValidationError as error:
            return invalid_spec(error, "correct the profile")
        document = await self._document(spec)
        if isinstance(document, Wrong):
            return document
        digest = "sha256:" + hashlib.sha256(document.encode()).hexdigest()
        return Override(product=product_named(spec.product), runtime=spec.runtime, digest=digest, document=document)

    async def _document(self, spec: ProfileSpec) -> str | Wrong:
        if spec.coefficients is not None:
            return spec.coefficients
        if spec.config_map_ref is None:
            return Wrong(
                reason="InvalidSpec", message="spec has neither coefficients nor configMapRef: give one of them"
            )
        return await self._from_config_map(spec.config_map_ref)

    async def _from_config_map(self, reference: ConfigMapReference) -> str | Wrong:
        where = f"ConfigMap {reference.name!r} of namespace {self._namespace!r}"
        try:
            found = await self._cluster.get(CONFIG_MAPS.path(self._namespace, reference.name))
        except ApiError as error:
            if error.lasting:
                return Wrong(reason="ConfigMapRefused", message=f"{where} cannot be read: {error}")
            if error.status != 404:
                raise
            return Wrong(
                reason="ConfigMapNotFound", message=f"there is no {where}: create it, or correct spec.configMapRef"
            )
        text = (found.get("data") or {}).get(reference.key)
        if not isinstance(text, str):
            return Wrong(
                reason="ConfigMapKeyNotFound",
                message=f"{where} has no key {reference.key!r}: add it, or correct spec.configMapRef.key",
            )
        digest = "sha256:" + hashlib.sha256(text.encode()).hexdigest()
        if digest != reference.digest:
            return Wrong(
                reason="DigestMismatch",
                message=f"key {reference.key!r} of {where} has the digest {digest}, which is not"
                " spec.configMapRef.digest: correct one of them",
            )
        return text

    async def _facts(self, key: Key, override: Override) -> dict[str, Any] | Wrong:
        try:
            return await self._forecasts.validate(override)
        except JoulecastError as error:
            self._hold(key, None)
            if error.transient:
                raise
            return Wrong(reason=error.reason, message=str(error))
