"""The images of AWS in which models are trained and served, as the SageMaker SDK knows them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from workflow.config import Config
from workflow.mistakes import ConfigError, Mistake
from workflow.options.models import ModelSettings
from workflow.sdk import sagemaker_module
from workflow.spelling import suggestion

BUILTIN = ("pytorch", "2.5")
"""Framework and version of the packaged models: an image with a Python for which they are written.

That of scikit-learn has an older one."""


@dataclass(frozen=True)
class Images:
    """The images of a model.

    Attributes:
        training: URI of the one that trains.
        inference: URI of the one that makes the lists.
    """

    training: str
    inference: str


def images_of(config: Config, name: str) -> Images:
    """Return the images of a model.

    Raises:
        ConfigError: If AWS has none of this version in the region, or for the instances.
    """
    model = config.models[name]
    if model.image:
        return Images(model.image, model.inference_image or model.image)
    return Images(
        _image(config, name, "training", model.training.instance_type),
        _image(config, name, "inference", model.transform.instance_type),
    )


def image_mistakes(config: Config) -> list[Mistake]:
    """Return the versions and instance types of all models for which AWS has no image."""
    mistakes: dict[str, Mistake] = {}  # by their keys: one version is for both images
    for name, model in config.sagemaker_models.items():
        types = {
            "training": model.training.instance_type,
            "inference": model.transform.instance_type,
        }
        for scope, instance_type in types.items() if not model.image else ():
            try:
                _image(config, name, scope, instance_type)
            except ConfigError as error:
                for mistake in error.mistakes:
                    mistakes.setdefault(mistake.key, mistake)
    return list(mistakes.values())


def _image(config: Config, name: str, scope: str, instance_type: str) -> str:
    framework, version = framework_of(config.models[name])
    images = _images_of(framework)
    known = images[scope]
    versions = {**known.get("version_aliases", {}), **known["versions"]}
    if version not in versions:
        for_both = [each for each in known["versions"] if each in images["inference"]["versions"]]
        alike = [each for each in for_both if _major(each) == _major(version)]
        fix = suggestion(version, alike, otherwise=f"write one of {', '.join(for_both[-6:])}")
        rule = f"AWS has no image of {framework} {version} for {scope}; it has up to {for_both[-1]}"
        raise _mistake(config, f"models.{name}.framework_version", version, rule, fix)
    full = known["version_aliases"][version] if version not in known["versions"] else version
    python = known["versions"][full]["py_versions"][-1]
    try:
        return _uri(framework, config.aws.region, version, python, instance_type, scope)
    except ValueError as error:
        job = "training" if scope == "training" else "transform"
        raise _mistake(
            config,
            f"models.{name}.{job}.instance_type",
            instance_type,
            f"there is no image of {framework} {version} for it: {_words(error)}",
            "take another type of instance, version or region",
        ) from None


# The steps of all models ask for the same images, and the SDK reads its files for each.
@cache
def _images_of(framework: str) -> Mapping[str, Any]:
    """Return the images of a framework, as the SDK's file has them."""
    images: Mapping[str, Any]
    images = sagemaker_module("sagemaker.image_uris").config_for_framework(framework)
    return images


@cache
def _uri(
    framework: str, region: str, version: str, python: str, instance_type: str, scope: str
) -> str:
    """Return the URI of an image.

    Raises:
        ValueError: If there is none.
    """
    return str(
        sagemaker_module("sagemaker.image_uris").retrieve(
            framework,
            region,
            version=version,
            py_version=python,
            instance_type=instance_type,
            image_scope=scope,
        )
    )


def _major(version: str) -> str:
    return re.split(r"[.-]", version)[0]


def _words(error: ValueError) -> str:
    """Return what the SDK says of an image, without its advice to take a later SDK."""
    return re.sub(r"You may need to upgrade your SDK version.*?\. ", "", str(error)).splitlines()[0]


def framework_of(model: ModelSettings) -> tuple[str, str]:
    """Return the framework and its version of a model without an image of its own."""
    return BUILTIN if model.builtin else (model.framework or "", model.framework_version)


def _mistake(config: Config, key: str, value: Any, rule: str, fix: str) -> ConfigError:
    return ConfigError(config.source_name, [Mistake(key, f'"{value}"', rule, fix)])
