"""Containers: images of AWS, requirements that are installed, and machines without namespaces."""

import json
import socket
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws.http.errors import ServiceError
from localaws.sagemaker.containers.images import find_image
from localaws.sagemaker.service import SageMaker
from tests.zips import zipped

from .world import ACCOUNT, REGION, World

DEEP = "763104351884.dkr.ecr.us-east-1.amazonaws.com"


def facts(framework: str) -> dict[str, Any]:
    """Return what the SageMaker SDK knows of a framework's images."""
    package = find_spec("sagemaker")  # which takes seconds to import
    assert package is not None
    (directory,) = package.submodule_search_locations or ()
    text = Path(directory, "image_uri_config", f"{framework}.json").read_text()
    known: dict[str, Any] = json.loads(text)
    return known


@pytest.mark.parametrize(
    ("framework", "scope", "job"),
    [
        ("sklearn", "training", "training"),
        ("sklearn", "inference", "inference"),
        ("pytorch", "training", "training"),
        ("pytorch", "inference", "inference"),
    ],
)
def test_every_image_of_the_sdk_is_known_in_its_regions(
    framework: str, scope: str, job: str
) -> None:
    for version, known in facts(framework)[scope]["versions"].items():
        if known["repository"] == "sagemaker-pytorch":
            continue  # before 1.2, for Python 2 and 3
        for region, account in known["registries"].items():
            host = f"{account}.dkr.ecr.{region}.amazonaws.com"
            uri = f"{host}/{known['repository']}:{version}-cpu-{known['py_versions'][-1]}"
            assert find_image(uri, region=region, job=job).version == version


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        (
            "123456789012.dkr.ecr.us-east-1.amazonaws.com/mine:latest",
            "does not run the image 123456789012.*those of AWS named sagemaker-scikit-learn",
        ),
        (f"{DEEP}/pytorch-trainig:2.3.0-cpu-py311", "did you mean pytorch-training"),
        (f"{DEEP}/pytorch-training:2.99.0-cpu-py311", "not found: pytorch-training has versions"),
        (f"{DEEP}/pytorch-inference:2.3.0-cpu-py311", "is for inference, not for training"),
        (
            "763104351884.dkr.ecr.eu-west-1.amazonaws.com/pytorch-training:2.3.0-cpu-py311",
            "is in eu-west-1, and the job in us-east-1.*take the one of 763104351884.*us-east-1",
        ),
        (
            "999999999999.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.3.0-cpu-py311",
            "in us-east-1, pytorch-training is in the registry of account 763104351884",
        ),
    ],
)
def test_other_images_are_refused_by_name(uri: str, message: str) -> None:
    with pytest.raises(ServiceError, match=message) as refused:
        find_image(uri, region="us-east-1", job="training")

    assert refused.value.code == "ValidationException"


@pytest.mark.parametrize("tag", ["2.3.0-cpu-py311", "2.3-gpu-py311-cu121-ubuntu20.04-sagemaker"])
def test_tags_may_leave_out_the_last_number_and_name_more(tag: str) -> None:
    image = find_image(f"{DEEP}/pytorch-training:{tag}", region="us-east-1", job="training")

    assert image.version == "2.3.0"


def test_an_image_is_refused_when_a_job_is_created(world: World) -> None:
    algorithm = {"TrainingImage": f"{DEEP}/pytorch-training:2.3.0", "TrainingInputMode": "File"}
    request = world.training("", AlgorithmSpecification=algorithm)
    del request["InputDataConfig"]

    with pytest.raises(ClientError, match=f"is in us-east-1, and the job in {REGION}"):
        world.sagemaker.create_training_job(**request)


def wheel(name: str, version: str, source: str) -> bytes:
    info = f"{name}-{version}.dist-info"
    return zipped(
        {
            f"{name}.py": source,
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{info}/RECORD": "",
        }
    )


def test_requirements_of_the_source_are_installed_once(world: World) -> None:
    file = "greetings-1.0-py3-none-any.whl"
    files = {"requirements.txt": f"./{file}\n", file: wheel("greetings", "1.0", "text = 'hi'\n")}
    script = "import greetings\nprint(greetings.text, greetings.__file__)\n"

    first, second = (world.train(script, files=files) for _ in range(2))

    assert first["TrainingJobStatus"] == second["TrainingJobStatus"] == "Completed"
    logs = [world.aws.sagemaker.log(job["TrainingJobName"]) for job in (first, second)]
    assert "Installing collected packages: greetings" in logs[0]
    assert "Installing" not in logs[1]
    assert logs[1].splitlines()[0] == next(
        line for line in logs[0].splitlines() if line.startswith("hi ")
    )


def test_requirements_that_are_installed_here_are_seen_without_pip(world: World) -> None:
    files = {"requirements.txt": "orjson>=3  # fast\nlark\nnone; sys_platform == 'win32'\n"}

    job = world.train("import lark, orjson, pandas\nprint(orjson.dumps(1))\n", files=files)
    other = world.train("import orjson\n")

    assert world.log(job["TrainingJobName"]).splitlines()[0] == "b'1'"
    assert "No module named 'orjson'" in other["FailureReason"]


def test_requirements_that_are_installed_here_need_no_network(world: World) -> None:
    """By the very versions; pip would fetch those that an image of AWS does not hold."""
    files = {"requirements.txt": f"implicit=={metadata.version('implicit')}  # and NumPy\n"}

    job = world.train("import implicit, numpy\n", files=files)

    assert job["TrainingJobStatus"] == "Completed", job
    assert "Installing" not in world.aws.sagemaker.log(job["TrainingJobName"])


def test_what_no_script_imports_of_an_image_is_not_installed(world: World) -> None:
    """PyTorch is not here, and takes minutes to fetch."""
    image = f"{DEEP}/pytorch-training:2.5-cpu-py311".replace("us-east-1", REGION)
    algorithm = {"TrainingImage": image, "TrainingInputMode": "File"}

    job = world.train("import sklearn\nprint('no torch')\n", AlgorithmSpecification=algorithm)

    assert job["TrainingJobStatus"] == "Completed", job
    assert world.aws.sagemaker.log(job["TrainingJobName"]).startswith("no torch")


def test_what_is_missing_of_an_image_is_installed_in_the_image_s_version(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("2.5.1", "9.9"):
        source = f"__version__ = {version!r}\n"
        file = tmp_path / f"torch-{version}-py3-none-any.whl"
        file.write_bytes(wheel("torch", version, source))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    image = f"{DEEP}/pytorch-training:2.5-cpu-py311".replace("us-east-1", REGION)
    algorithm = {"TrainingImage": image, "TrainingInputMode": "File"}
    script = "import torch\nprint(torch.__version__)\n"

    job = world.train(script, AlgorithmSpecification=algorithm)

    assert "2.5.1" in world.log(job["TrainingJobName"]).splitlines(), job


@pytest.mark.parametrize(("seconds", "status"), [(3, "MaxRuntimeExceeded"), (600, "Stopped")])
def test_a_job_ends_in_the_midst_of_an_installation_and_holds_up_no_other(
    world: World, seconds: int, status: str
) -> None:
    """Of an index that never answers."""
    with socket.create_server(("127.0.0.1", 0)) as index:
        index.settimeout(60)
        url = f"http://127.0.0.1:{index.getsockname()[1]}/simple"
        request = world.training(
            "",
            files={"requirements.txt": f"--index-url {url}\nsomething=={seconds}\n"},
            StoppingCondition={"MaxRuntimeInSeconds": seconds},
        )
        del request["InputDataConfig"]
        name = request["TrainingJobName"]
        world.sagemaker.create_training_job(**request)
        with index.accept()[0]:
            other = world.train("", files={"requirements.txt": "./hi.whl\n", "hi.whl": b"none"})
            if status == "Stopped":
                world.sagemaker.stop_training_job(TrainingJobName=name)
            job = world.ended("TrainingJob", name)

    assert "InstallRequirementsError" in other["FailureReason"], "pip has ended meanwhile"
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", status), job


def test_requirements_that_cannot_be_installed_fail_the_job(world: World) -> None:
    files = {"requirements.txt": "--no-index\nnothing-of-that-name==1.0\n"}

    job = world.train("", files=files)

    assert "No matching distribution found for nothing-of-that-name==1.0" in job["FailureReason"]
    assert "while installing requirements.txt" in job["FailureReason"]


def test_what_a_script_installs_is_its_job_s_alone(world: World) -> None:
    file = "farewells-1.0-py3-none-any.whl"
    files = {file: wheel("farewells", "1.0", "")}
    install = (
        "import subprocess, sys\nsubprocess.run(['pip', 'install', '--no-index',"
        f" './{file}'], check=True)\nimport farewells\n"
    )

    job = world.train(install, files=files)
    other = world.train("import farewells\n")

    assert job["TrainingJobStatus"] == "Completed", job
    assert "No module named 'farewells'" in other["FailureReason"]


def test_a_script_sees_its_image_s_packages_and_no_others(world: World) -> None:
    job = world.train("import sklearn, pandas, scipy, boto3, joblib\nimport moto\n")

    assert "No module named 'moto'" in job["FailureReason"]


@pytest.fixture
def without_mounts(world: World, tmp_path: Path) -> Iterator[World]:
    """Serve SageMaker as on a machine that allows no namespaces."""
    endpoint, served = world.aws.endpoint, world.aws.sagemaker
    world.aws.sagemaker = SageMaker(
        account=ACCOUNT,
        region=REGION,
        directory=tmp_path,
        environment=lambda _: endpoint.environment,
        s3=lambda role: endpoint.client("s3", role),
        mounts=False,
    )
    endpoint.mount("sagemaker", world.aws.sagemaker)
    yield world
    world.aws.sagemaker.close()
    world.aws.sagemaker = served
    endpoint.mount("sagemaker", served)


def test_without_namespaces_the_path_is_translated(without_mounts: World) -> None:
    """In variables, arguments, and the files of the source."""
    world = without_mounts
    script = """
import argparse, os
from helper import OUTPUT
parser = argparse.ArgumentParser()
parser.add_argument("--extra")
args = parser.parse_args()
open("/opt/ml/model/a", "w").write(open("/opt/ml/input/data/train/x").read())
open(os.environ["SM_MODEL_DIR"] + "/b", "w").write("b")
open(args.extra, "w").write("c")
open(OUTPUT, "w").write("d")
"""
    files = {"helper.py": "OUTPUT = '/opt/ml/model/d'\n"}
    train = world.put("translated/x", "a")

    job = world.train(
        script,
        files=files,
        channels={"train": train},
        hyperparameters={"extra": "/opt/ml/model/c"},
    )

    assert job["TrainingJobStatus"] == "Completed", job
    assert not Path("/opt/ml/model/a").exists()
    assert world.files(f"output/{job['TrainingJobName']}/output/model.tar.gz") == {
        name: name.encode() for name in "abcd"
    }
