"""Functions, the states of their code, and where they stand before destinations."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from headwater.control.api.models import Pagination, Settings


class FunctionItem(msgspec.Struct, rename="camel"):
    """A function without its code."""

    id: str
    resource_type: str
    created_at: str
    created_by: str
    display_name: str
    description: str
    logo_url: str
    deployed_at: str | None
    is_latest_version: bool


class Function(FunctionItem, rename="camel"):
    """A function with its newest code and the settings that it takes."""

    code: str
    settings: list[dict[str, Any]]


class OneFunction(msgspec.Struct, rename="camel"):
    """One function."""

    function: Function


class Functions(msgspec.Struct, rename="camel"):
    """A page of functions."""

    functions: list[FunctionItem]
    pagination: Pagination


class Deployment(msgspec.Struct, rename="camel"):
    """How a deployment ended."""

    status: str


class Deployed(msgspec.Struct, rename="camel"):
    """The newest code is in use."""

    function_deployment: Deployment


class Version(msgspec.Struct, rename="camel"):
    """One state of a function's code."""

    id: str
    number: int
    author: str
    code: str
    is_deployed: bool
    created_at: str
    updated_at: str
    deployed_at: str | UnsetType = UNSET


class OneVersion(msgspec.Struct, rename="camel"):
    """One state of the code."""

    version: Version


class Versions(msgspec.Struct, rename="camel"):
    """A page of states of the code, newest first."""

    versions: list[Version]
    pagination: Pagination


class FunctionRun(msgspec.Struct, rename="camel"):
    """How a run ended, what it returned and what it wrote."""

    kind: str
    value: Any
    message: str
    log: list[str]


class Instance(msgspec.Struct, rename="camel"):
    """A function that stands before a destination; secret settings stand apart, masked."""

    id: str
    name: str
    integration_id: str
    class_id: str
    enabled: bool
    position: int
    created_at: str
    updated_at: str
    settings: Settings
    encrypted_settings: Settings


class OneInstance(msgspec.Struct, rename="camel"):
    """One instance."""

    insert_function_instance: Instance


class Instances(msgspec.Struct, rename="camel"):
    """A page of instances."""

    instances: list[Instance]
    pagination: Pagination
