"""A model in its container, which answers requests for predictions.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-batch-code.html
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, cast

from localaws.process_groups import exit_code
from localaws.sagemaker.channels import Location, download, extract, find_objects
from localaws.sagemaker.containers.container import ML, Container
from localaws.sagemaker.containers.images import Image
from localaws.sagemaker.errors import JobFailedError
from localaws.sagemaker.models import model_data

_MODEL = f"{ML}/model"
_INSIDE = f"{_MODEL}/code"
_OK = 200
_WORKER = Path(__file__).with_name("worker.py")


def fetch_model(
    container: Container, model: Mapping[str, Any], s3: Any, *, role: str, region: str
) -> None:
    """Unpack a model's archive, or copy its folder, into `/opt/ml/model`."""
    location, is_folder = model_data(model)
    directory = container.host(_MODEL)
    directory.mkdir()
    if location is not None and is_folder:
        download(s3, find_objects(s3, location, role=role, region=region), directory)
    elif location is not None:
        extract(s3, location, directory)


def fetch_code(container: Container, variables: Mapping[str, str], s3: Any) -> str:
    """Bring a model's script to where it is imported from, and return that directory.

    That is `/opt/ml/code` for a source archive of its own, and else `code/` of the model.

    Raises:
        JobFailedError: If there is no script.
    """
    source = variables.get("SAGEMAKER_SUBMIT_DIRECTORY", _INSIDE).removeprefix("file://")
    program = variables.get("SAGEMAKER_PROGRAM", "inference.py")
    directory = source if source.startswith(f"{ML}/") else _INSIDE
    if source.startswith("s3://"):
        directory = f"{ML}/code"
        extract(s3, Location.parse(source, "SAGEMAKER_SUBMIT_DIRECTORY"), container.host(directory))
    if not (container.host(directory) / program).is_file():
        raise JobFailedError(
            f"AlgorithmError: there is no {program} in {source}: SAGEMAKER_PROGRAM names the"
            " script, and SAGEMAKER_SUBMIT_DIRECTORY the s3:// URL of a tar.gz with it, or it is in"
            " code/ of the model's archive"
        )
    return directory


class Predictor:
    """A process that has loaded a model.

    Args:
        process: Of `worker`, with pipes for its input and output.
        timeout: Seconds of a request at most.
        retries: How often a request is repeated to which the script answers by an error.
    """

    def __init__(self, process: subprocess.Popen[bytes], *, timeout: float, retries: int) -> None:
        self._process = process
        self._timeout = timeout
        self._retries = retries
        self._requests = cast(IO[bytes], process.stdin)
        self._responses = cast(IO[bytes], process.stdout)

    def load(self) -> None:
        """Wait until the model is loaded.

        Raises:
            JobFailedError: If it cannot be.
        """
        status, response = self._receive("the model could not be loaded", None)
        if status != _OK:
            raise JobFailedError(f"the model could not be loaded: {_text(response)}")

    def predict(self, body: bytes, content_type: str, accept: str) -> bytes:
        """Return the response to a request.

        Raises:
            JobFailedError: If there is none.
        """
        header = {"size": len(body), "content_type": content_type, "accept": accept}
        request = json.dumps(header).encode() + b"\n" + body
        for _ in range(1 + self._retries):
            try:
                self._requests.write(request)
                self._requests.flush()
            except BrokenPipeError:
                pass  # it is gone, as its missing response tells
            status, response = self._receive("the script ended", self._timeout)
            if status == _OK:
                return response
        raise JobFailedError(_text(response))

    def close(self) -> None:
        """Close the pipes, at which the process ends."""
        for pipe in (self._requests, self._responses):
            try:
                pipe.close()
            except BrokenPipeError:
                continue

    def _receive(self, context: str, timeout: float | None) -> tuple[int, bytes]:
        """Return the status and the body of a response.

        Raises:
            JobFailedError: With the context, if the process is gone; if it takes too long.
        """
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            self._process.kill()

        timer = threading.Timer(timeout, expire) if timeout else None
        if timer:
            timer.start()
        try:
            header = self._responses.readline()
            body = self._responses.read(json.loads(header)["size"]) if header else b""
        finally:
            if timer:
                timer.cancel()
        if expired.is_set():
            raise JobFailedError(f"no response within {timeout:g} seconds")
        if not header:
            raise JobFailedError(f"{context}, exit code: {exit_code(self._process.wait())}")
        return json.loads(header)["status"], body


def _text(response: bytes) -> str:
    return response.decode(errors="replace")


def start_worker(
    container: Container, image: Image, variables: Mapping[str, str], directory: str
) -> subprocess.Popen[bytes]:
    """Start the process that loads a model and makes predictions.

    Args:
        container: Holds the model and the script.
        image: The container's.
        variables: The model's and the job's.
        directory: The script's, below `/opt/ml`.
    """
    requirements = container.host(directory) / "requirements.txt"
    return container.start(
        ["python", "-P", str(_WORKER), image.family],
        {"SAGEMAKER_BASE_DIR": ML, **variables, "PYTHONPATH": directory},
        directory=directory,
        requirements=requirements if requirements.exists() else None,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
