"""AcceleratorEnergyProfiles: check them in a worker, say so in their status, and hold the usable ones for pricing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from joulecast.errors import JoulecastError
from joulecast_operator import reconcile
from joulecast_operator.forecasts import Forecasts
from joulecast_operator.index import Index, Key, Resource
from joulecast_operator.kinds import CONFIG_MAPS, PROFILES
from joulecast_operator.kube import ApiError, Cluster
from joulecast_operator.reconcile import Wrong
from joulecast_operator.request import Override
from joulecast_operator.resources import AcceleratorEnergyProfile, ConfigMapReference, ProfileSpec
from joulecast_operator.writer import Writer


class Profiles:
    """Reconciles profiles. ``on_change`` is called when what prices estimates is no longer what it was."""

    def __init__(
        self,
        *,
        index: Index,
        cluster: Cluster,
        writer: Writer,
        forecasts: Forecasts,
        namespace: str,
        on_change: Callable[[], None],
    ) -> None:
        self._index = index
        self._cluster = cluster
        self._writer = writer
        self._forecasts = forecasts
        self._namespace = namespace
        self._on_change = on_change
        self._usable: dict[Key, Override] = {}

    def overrides(self) -> list[Override]:
        """Usable profiles by name: of two for one accelerator and runtime the first stands."""
        return [self._usable[key] for key in sorted(self._usable, key=lambda key: key.name)]

    def in_use(self, product: str, runtime: str) -> tuple[Key, Override] | None:
        """The usable profile of the cluster that prices an accelerator under a runtime."""
        for key in sorted(self._usable, key=lambda key: key.name):
            found = self._usable[key]
            if (found.product.removesuffix("-SHARED"), found.runtime) == (product, runtime):
                return key, found
        return None

    async def reconcile(self, key: Key) -> None:
        """Check the profile of ``key`` and write what came of it."""
        profile = self._index.resource(key)
        if profile is None:
            self._hold(key, None)
            return
        override = await self._override(profile)
        facts: Wrong | dict[str, Any] = override if isinstance(override, Wrong) else await self._facts(override)
        usable = None if isinstance(override, Wrong) or isinstance(facts, Wrong) else override
        self._hold(key, usable)
        status = reconcile.profile_status(
            profile, facts, digest=usable.digest if usable else None, now=datetime.now(UTC)
        )
        await self._writer.status(PROFILES, profile, status)

    def _hold(self, key: Key, override: Override | None) -> None:
        if self._usable.get(key) == override:
            return
        if override is None:
            del self._usable[key]
        else:
            self._usable[key] = override
        self._on_change()

    async def _override(self, profile: Resource) -> Override | Wrong:
        try:
            spec = AcceleratorEnergyProfile.model_validate(profile).spec
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            return Wrong(
                reason="InvalidSpec",
                message=f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}; correct the profile",
            )
        document = await self._document(spec)
        if isinstance(document, Wrong):
            return document
        digest = "sha256:" + hashlib.sha256(document.encode()).hexdigest()
        return Override(product=spec.product, runtime=spec.runtime, digest=digest, document=document)

    async def _document(self, spec: ProfileSpec) -> str | Wrong:
        if spec.coefficients is not None:
            return spec.coefficients
        if spec.config_map_ref is None:
            return Wrong(
                reason="InvalidSpec", message="spec has neither coefficients nor configMapRef: give exactly one"
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
                reason="ConfigMapKeyNotFound", message=f"{where} has no key {reference.key!r}: correct one of them"
            )
        digest = "sha256:" + hashlib.sha256(text.encode()).hexdigest()
        if digest != reference.digest:
            return Wrong(
                reason="DigestMismatch",
                message=f"key {reference.key!r} of {where} has digest {digest}, spec.configMapRef another: correct it",
            )
        return text

    async def _facts(self, override: Override) -> dict[str, Any] | Wrong:
        try:
            return await self._forecasts.validate(override)
        except JoulecastError as error:
            if error.transient:
                raise
            return Wrong(reason=error.reason, message=str(error))
