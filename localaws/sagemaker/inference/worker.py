"""The program of a container that makes predictions: AWS's inference toolkit, over two pipes.

    python worker.py FAMILY < requests > responses

A request is a line of JSON (`size`, `content_type`, `accept`) and a body, a response a line
(`status`, `size`) and a body. The first response tells that the model is loaded. It imports nothing
of this project: it sees the image's packages and the script's.
"""

import csv
import io
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from sagemaker_inference import content_types, decoder, encoder, environment
from sagemaker_inference.default_inference_handler import DefaultInferenceHandler
from sagemaker_inference.transformer import Transformer


class ScikitLearnHandler(DefaultInferenceHandler):  # type: ignore[misc]
    """The functions of the scikit-learn image where a script has none of its own.

    https://github.com/aws/sagemaker-scikit-learn-container
    """

    def default_input_fn(self, input_data: Any, content_type: str, context: Any = None) -> Any:
        """Decode a request to numbers; one line of CSV is one row without a second dimension."""
        if content_type == content_types.CSV:
            rows = list(csv.reader(io.StringIO(input_data), strict=True))
            return np.array(rows).squeeze().astype(np.float32)
        array = decoder.decode(input_data, content_type)
        return array.astype(np.float32) if content_type == content_types.JSON else array

    def default_predict_fn(self, data: Any, model: Any, context: Any = None) -> Any:
        """Ask the model."""
        return model.predict(data)

    def default_output_fn(self, prediction: Any, accept: str, context: Any = None) -> Any:
        """Encode predictions."""
        return encoder.encode(prediction, accept), accept


class PyTorchHandler(DefaultInferenceHandler):  # type: ignore[misc]
    """The functions of the PyTorch image where a script has none of its own.

    https://github.com/aws/sagemaker-pytorch-inference-toolkit
    """

    def default_model_fn(self, model_dir: str, context: Any = None) -> Any:
        """Load the one TorchScript file."""
        import torch  # noqa: PLC0415

        files = [file for file in Path(model_dir).iterdir() if file.suffix in {".pt", ".pth"}]
        default = Path(model_dir, "model.pt")
        if default not in files and len(files) != 1:
            names = sorted(file.name for file in files)
            raise ValueError(f"Exactly one .pth or .pt file is required for PyTorch: {names}")
        return torch.jit.load(default if default in files else files[0], map_location="cpu")

    def default_input_fn(self, input_data: Any, content_type: str, context: Any = None) -> Any:
        """Decode a request to a tensor."""
        import torch  # noqa: PLC0415

        array = decoder.decode(input_data, content_type)
        is_text = content_type in content_types.UTF8_TYPES
        return torch.FloatTensor(array) if is_text else torch.from_numpy(array)

    def default_predict_fn(self, data: Any, model: Any, context: Any = None) -> Any:
        """Ask the model."""
        import torch  # noqa: PLC0415

        model.eval()
        with torch.no_grad():
            return model(data)

    def default_output_fn(self, prediction: Any, accept: str, context: Any = None) -> Any:
        """Encode a tensor."""
        if hasattr(prediction, "detach"):
            prediction = prediction.detach().cpu().numpy().tolist()
        return super().default_output_fn(prediction, accept)


class Context:
    """One request, as the toolkit knows it from the model server."""

    def __init__(self, properties: dict[str, str]) -> None:
        self.system_properties = {"model_dir": environment.model_dir}
        self.request_processor = [self]
        self.status = 200
        self._properties = properties

    def get_request_properties(self) -> dict[str, str]:
        """Return the headers of the request."""
        return self._properties

    def set_response_status(self, code: int = 200, phrase: str = "") -> None:
        """Record that the request failed."""
        self.status = code

    def set_response_content_type(self, number: int, content_type: str) -> None:
        """Take the type of the response, which nobody reads."""


def serve(family: str, requests: BinaryIO, responses: BinaryIO) -> None:
    """Load the model, and answer requests until there is none."""
    handler = PyTorchHandler() if family.startswith("pytorch") else ScikitLearnHandler()
    transformer = Transformer(default_inference_handler=handler)

    def respond(status: int, body: bytes) -> None:
        header = json.dumps({"status": status, "size": len(body)})
        responses.write(header.encode() + b"\n" + body)
        responses.flush()

    try:
        transformer.validate_and_initialize(environment.model_dir, Context({}))
    except Exception as error:
        traceback.print_exc()
        respond(500, f"{type(error).__name__}: {error}".encode())
        return
    respond(200, b"")
    while header := requests.readline():
        request = json.loads(header)
        body = requests.read(request["size"])
        properties = {"Content-Type": request["content_type"], "Accept": request["accept"]}
        context = Context({name: value for name, value in properties.items() if value})
        (result,) = transformer.transform([{"body": body}], context)
        if context.status != 200:
            sys.stderr.write(f"{result}\n")
            respond(context.status, _last_line(str(result)).encode())
            continue
        try:
            respond(200, _bytes(result))
        except TypeError as error:
            respond(500, str(error).encode())


def _bytes(result: Any) -> bytes:
    if hasattr(result, "get_data"):  # a response of Flask, which older scripts return
        result = result.get_data()
    if isinstance(result, bytes | bytearray):
        return bytes(result)
    if isinstance(result, str):
        return result.encode()
    raise TypeError(f"output_fn must return text or bytes, not a {type(result).__name__}")


def _last_line(text: str) -> str:
    return ([line for line in text.splitlines() if line.strip()] or [""])[-1]


if __name__ == "__main__":
    sys.stdout.flush()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the script prints goes to the log
    serve(sys.argv[1], sys.stdin.buffer, answers)
