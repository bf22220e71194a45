"""The names of AWS's services, and their models, read once from botocore's data.

A service has a name in boto3 (`stepfunctions`), another one in signatures (`states`), and a third
in the ARNs of SDK integrations (`sfn`) and in the errors that these raise (`Sfn`).
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
from botocore.exceptions import UnknownServiceError
from botocore.loaders import Loader
from botocore.model import ServiceModel
from moto.core import utils

_MODEL = "service-2"
_METADATA = '"metadata":'
_METADATA_LIMIT = 4096  # characters from the beginning of a model

# How AWS's SDK for Java splits a service's id into words.
# https://github.com/aws/aws-sdk-java-v2/blob/master/utils/src/main/java/software/amazon/awssdk/utils/internal/CodegenNamingUtils.java
_WORD_BOUNDARY = re.compile(
    r"""[^A-Za-z0-9]+
    | (?<=[^a-z]{2})(?=v[0-9]) | (?<=[^A-Z]{2})(?=V[0-9])  # SES|v2
    | (?<=[a-z])(?=[A-Z][A-Za-z0-9])                       # Dynamo|DB
    | (?<=[A-Z])(?=[A-Z](?!v[0-9])[a-z])                   # X|Ray
    | (?<=[0-9])(?=[A-Za-z])                               # B2|BI
    """,
    re.VERBOSE,
)


@cache
def service_model(name: str) -> ServiceModel:
    """Return the model of a service by boto3's name, e.g. `personalize-runtime`.

    Raises:
        UnknownServiceError: If there is none.
    """
    model: ServiceModel = utils.get_service_model(name)
    return model


def new_session() -> botocore.session.Session:
    """Return a session whose clients share the models that any such session has read."""
    session = botocore.session.Session()
    session.register_component("data_loader", _loader())
    return session


def services_signed_as(signing_name: str) -> tuple[str, ...]:
    """Return boto3's names of the services whose requests are signed for `signing_name`.

    Args:
        signing_name: E.g. `states`, or `personalize`, which stands for three services.

    Returns:
        The one of the same name first; nothing if the name is unknown.
    """
    return _by_signing_name().get(signing_name, ())


def services_called(name: str) -> tuple[str, ...]:
    """Return boto3's names of the services that have this name there or in their signatures."""
    own = (name,) if name in _metadata() else ()
    return tuple(dict.fromkeys((*own, *services_signed_as(name))))


def service_of_sdk_name(name: str) -> str:
    """Return boto3's name of a service for its name in the ARN of an SDK integration.

    Args:
        name: As in `arn:aws:states:::aws-sdk:NAME:action`, e.g. `cognitoidentityprovider`; boto3's
            own name without its hyphens is understood too.

    Raises:
        UnknownServiceError: If there is none.
    """
    try:
        return _by_sdk_name()[name]
    except KeyError:
        raise UnknownServiceError(service_name=name, known_service_names="") from None


def sdk_error_prefix(service: str) -> str:
    """Return the prefix of the errors of an SDK integration, e.g. `CloudWatchLogs` for `logs`.

    https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html
    """
    service_id = _without_service(_metadata()[service]["serviceId"])
    return "".join(word.capitalize() for word in _WORD_BOUNDARY.split(service_id))


@cache
def _loader() -> Loader:
    """Return the loader of this process: each one reads a service's model, a tenth of a second."""
    return Loader()


@cache
def _metadata() -> Mapping[str, Mapping[str, Any]]:
    """Return each service's metadata; the models themselves would take seconds to load."""
    loader = _loader()
    metadata = {}
    for name in loader.list_available_services(_MODEL):
        version = loader.determine_latest_version(name, _MODEL)
        path = Path(loader.BUILTIN_DATA_PATH, name, version, f"{_MODEL}.json.gz")
        with gzip.open(path, "rt", encoding="utf-8") as file:
            beginning = file.read(_METADATA_LIMIT)
        start = beginning.index(_METADATA) + len(_METADATA)
        metadata[name], _ = json.JSONDecoder().raw_decode(beginning[start:].lstrip())
    return metadata


@cache
def _by_signing_name() -> Mapping[str, tuple[str, ...]]:
    services: dict[str, tuple[str, ...]] = {}
    for name, metadata in _metadata().items():
        signing_name = metadata.get("signingName", metadata["endpointPrefix"])
        others = services.get(signing_name, ())
        services[signing_name] = (name, *others) if name == signing_name else (*others, name)
    return services


@cache
def _by_sdk_name() -> Mapping[str, str]:
    names = {name.replace("-", ""): name for name in _metadata()}
    ids = {
        _without_service(metadata["serviceId"]).replace(" ", "").lower(): name
        for name, metadata in _metadata().items()
    }
    return names | ids


def _without_service(service_id: str) -> str:
    return service_id.removesuffix("Service").strip()
