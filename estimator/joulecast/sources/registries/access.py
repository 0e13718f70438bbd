"""Which registries may be reached, how, and with whose credentials."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from joulecast.sources.registries.address import DENIED_HOSTS, DENIED_NETWORKS, AddressPolicy
from joulecast.sources.registries.object_access import ObjectAccess, of_environment
from joulecast.sources.registries.proxies import Proxies


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryAccess:
    """How registries, hubs and object stores are reached.

    All values but ``proxies`` and ``objects`` are plain, so that they can be handed to another process.

    Hosts are written ``host``, ``host:port`` or ``*.domain``; one without a port stands for every port.

    - ``docker_config``: content of a ``.dockerconfigjson``. Only the entry of the registry in question is used, and
      sent there or to the https token service that it names, nowhere else.
    - ``certificate_authority``: path of a PEM bundle trusted beside the system's.
    - ``insecure_registries``: hosts reached by plain HTTP. They may have any address, loopback too.
    - ``mirrors``: by registry host (``docker.io``), endpoints tried before it: ``[http[s]://]host[:port][/prefix]``.
    - ``allowed_registries``: if any are given, no other registry may be named in a reference.
    - ``denied_registries``: registries that no reference may name.
    - ``denied_networks``: addresses to which no connection is made, wherever a name or a redirect leads.
    - ``denied_hosts``: names of hosts to which no connection is made.
    - ``permitted_hosts``: hosts exempt from both.
    - ``proxies``: the HTTP proxies that connections go through; none unless given.
    - ``hides_private_addresses``: every failure at a denied or private address is told in the same words (one with its
      port in ``permitted_hosts`` or ``insecure_registries`` is told in full). Set it for references written by others:
      else they learn which ports of our network are open.
    - ``local_paths``: whether a reference may be a file or folder of this machine. Set it to False for references
      written by others.
    - ``hub_endpoint``: the address of the hub that ``hf://`` means, ``https://huggingface.co`` or a mirror; empty: no
      hub may be used. By plain HTTP only for a host in ``insecure_registries``.
    - ``hub_token``: sent to that endpoint alone, by https or to this machine.
    - ``objects``: the object store that ``s3://`` means, and the keys to sign requests with.
    """

    docker_config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    certificate_authority: str | None = None
    insecure_registries: tuple[str, ...] = ()
    mirrors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    allowed_registries: tuple[str, ...] = ()
    denied_registries: tuple[str, ...] = ()
    denied_networks: tuple[str, ...] = DENIED_NETWORKS
    denied_hosts: tuple[str, ...] = DENIED_HOSTS
    permitted_hosts: tuple[str, ...] = ()
    proxies: Proxies = field(default_factory=Proxies)
    hides_private_addresses: bool = False
    local_paths: bool = True
    hub_endpoint: str = ""
    hub_token: str = field(default="", repr=False)
    objects: ObjectAccess = field(default_factory=ObjectAccess)

    @property
    def address_policy(self) -> AddressPolicy:
        """The rules that every connection is checked against."""
        return AddressPolicy(
            denied_networks=tuple(ipaddress.ip_network(network) for network in self.denied_networks),
            denied_hosts=self.denied_hosts,
            exempt_hosts=self.permitted_hosts + self.insecure_registries,
        )

    @classmethod
    def of_user(cls, **changes: Any) -> RegistryAccess:
        """Return the access of a person at a terminal: docker login, proxy, and local registries by plain HTTP.

        Reads ``HTTPS_PROXY``, ``HTTP_PROXY``, ``NO_PROXY`` and ``$DOCKER_CONFIG/config.json``, by default
        ``~/.docker/config.json``, and what the Hugging Face libraries read: ``HF_ENDPOINT``, ``HF_HUB_OFFLINE``,
        ``HF_TOKEN`` or the file that ``hf auth login`` writes; for ``s3://`` the ``AWS_*`` variables. Credential
        helpers are not run. ``changes``: fields to set. Raises ModelReferenceError if docker's file is not a JSON
        object.
        """
        from joulecast.sources.registries.credentials import user_docker_config, user_hub

        defaults: dict[str, Any] = {
            "docker_config": user_docker_config(),
            "insecure_registries": ("localhost", "127.0.0.1", "[::1]"),
            "proxies": Proxies.of(os.environ),
            **user_hub(os.environ),
            "objects": of_environment(os.environ),
        }
        return cls(**defaults | changes)
