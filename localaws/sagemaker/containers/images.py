"""The container images of AWS whose scripts run here; every other image is refused by name.

`images.toml` has their versions and registries.
https://docs.aws.amazon.com/sagemaker/latest/dg-ecr-paths/sagemaker-algo-docker-registry-paths.html
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from localaws.errors import suggestion
from localaws.sagemaker.errors import invalid

_URI = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr(?:-fips)?\.(?P<region>[\w-]+)\.amazonaws\.com(?:\.cn)?"
    r"/(?P<family>[^:@]+)(?::(?P<tag>[^@]+))?(?:@sha256:[0-9a-f]+)?"
)


@dataclass(frozen=True)
class Image:
    """An image of AWS.

    Attributes:
        family: Its repository, e.g. `sagemaker-scikit-learn`.
        version: The framework's, e.g. `1.2-1`.
        packages: What scripts find in it.
    """

    family: str
    version: str
    packages: tuple[str, ...]

    @property
    def versions(self) -> Mapping[str, str]:
        """The packages of which there is a wheel of the image's own version for this Python."""
        is_pytorch = self.family.startswith("pytorch-") and int(self.version.partition(".")[0]) > 1
        return {"torch": self.version} if is_pytorch else {}


def find_image(uri: str, *, region: str, job: str) -> Image:
    """Return the image of a URI.

    Args:
        uri: `ACCOUNT.dkr.ecr.REGION.amazonaws.com/FAMILY:TAG`.
        region: That of the job.
        job: What it is for: `training`, `processing` or `inference`.

    Raises:
        ServiceError: ValidationException if it is not known, is in another region, or is for other
            jobs.
    """
    families: Mapping[str, Any] = _tables()["families"]
    match = _URI.fullmatch(uri)
    if match is None or match["family"] not in families:
        near = suggestion(match["family"] if match else uri.rpartition("/")[2], families)
        known = ", ".join(families)
        raise invalid(
            f"the local SageMaker does not run the image {uri}: it runs those of AWS named"
            f" {known}{near and '; '}{near}"
        )
    family = families[match["family"]]
    registries = _tables()["registries"][family["registry"]]
    if match["region"] != region:
        there = f"{registries.get(region, 'ACCOUNT')}.dkr.ecr.{region}.amazonaws.com"
        raise invalid(
            f"Requested image {uri} is in {match['region']}, and the job in {region}: SageMaker"
            f" pulls images of its own region alone; take the one of {there}"
        )
    if match["account"] != registries.get(region):
        raise invalid(
            f"Requested image {uri} not found: in {region}, {match['family']} is in the registry of"
            f" account {registries.get(region, 'none')}"
        )
    if job not in family["jobs"]:
        raise invalid(f"the image {uri} is for {' and '.join(family['jobs'])}, not for {job}")
    version = _version(match["tag"] or "", family["versions"])
    if not version:
        known = ", ".join(family["versions"])
        raise invalid(f"Requested image {uri} not found: {match['family']} has versions {known}")
    return Image(match["family"], version, tuple(family["packages"]))


def _version(tag: str, versions: list[str]) -> str:
    """Return the version of a tag such as `1.2-1-cpu-py3`, or of `2.3-cpu-py311`, its newest."""
    named = re.split(r"-(?:cpu|gpu)(?:-|$)", tag)[0]
    if named in versions:
        return named
    matching = [version for version in versions if version.startswith(f"{named}.")]
    return matching[-1] if re.fullmatch(r"\d+\.\d+", named) and matching else ""


@cache
def _tables() -> Mapping[str, Any]:
    path = Path(__file__).with_name("images.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))
