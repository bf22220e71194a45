"""The records of a batch transform: split, filtered, joined with their predictions, assembled.

https://docs.aws.amazon.com/sagemaker/latest/dg/batch-transform-data-processing.html
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from localaws.moto_patches.states_language.jayway import Path, parsed
from localaws.sagemaker.errors import JobFailedError, invalid

_MIB = 1 << 20
_CSV, _JSON = "text/csv", "application/json"
_FORMATS = {
    _CSV: _CSV,
    _JSON: _JSON,
    "application/jsonlines": _JSON,
    "application/x-jsonlines": _JSON,
}


@dataclass(frozen=True)
class Transform:
    """How a transform job makes requests of an object, and an output of the responses.

    Attributes:
        is_split: Whether each line is a record; if not, the whole object is one.
        is_batched: Whether a request has as many records as fit.
        is_assembled: Whether a newline follows each record of the output.
        limit: Bytes of a request at most.
        input_format: The content type of records that can be filtered and joined; empty for others.
        output_format: The same of predictions.
        input_filter: What the model gets of a record.
        output_filter: What the output gets of a prediction, or of what it was joined to.
        is_joined: Whether predictions are joined with their records.
    """

    is_split: bool
    is_batched: bool
    is_assembled: bool
    limit: int
    input_format: str
    output_format: str
    input_filter: Path | _Columns | None
    output_filter: Path | _Columns | None
    is_joined: bool

    @classmethod
    def of(cls, request: Mapping[str, Any]) -> Transform:
        """Return that of a CreateTransformJob request.

        Raises:
            ServiceError: ValidationException if its members do not go together.
        """
        given, output = request["TransformInput"], request["TransformOutput"]
        processing = request.get("DataProcessing", {})
        split = given.get("SplitType", "None")
        if split not in {"None", "Line"}:
            raise invalid(
                f"TransformInput.SplitType: the local SageMaker splits by None or Line, not {split}"
            )
        content_type, accept = given.get("ContentType", ""), output.get("Accept", "")
        transform = cls(
            is_split=split == "Line",
            is_batched=request.get("BatchStrategy", "MultiRecord") == "MultiRecord",
            is_assembled=output.get("AssembleWith", "None") == "Line",
            limit=request.get("MaxPayloadInMB", 6) * _MIB or sys.maxsize,
            input_format=_FORMATS.get(content_type.partition(";")[0], ""),
            output_format=_FORMATS.get((accept or content_type).partition(";")[0], ""),
            input_filter=_filter(processing, "InputFilter"),
            output_filter=_filter(processing, "OutputFilter"),
            is_joined=processing.get("JoinSource", "None") == "Input",
        )
        if transform.input_filter and not transform.input_format:
            raise invalid(_needs("InputFilter", "TransformInput.ContentType"))
        if transform.output_filter and not transform.output_format:
            raise invalid(_needs("OutputFilter", "TransformOutput.Accept"))
        if transform.is_joined and (
            not transform.input_format or transform.input_format != transform.output_format
        ):
            raise invalid(
                "DataProcessing.JoinSource: TransformInput.ContentType and TransformOutput.Accept"
                " must both be text/csv, or both JSON"
            )
        return transform

    def payloads(self, content: bytes) -> Iterator[tuple[int, list[bytes]]]:
        """Yield the records of each request, with the number of the first one.

        Raises:
            JobFailedError: If a record is larger than a request may be.
        """
        records = [content] if content else []
        if content and self.is_split:
            lines = content.removesuffix(b"\n").split(b"\n")
            records = [line.removesuffix(b"\r") for line in lines]
        batch: list[bytes] = []
        size = 0
        for number, record in enumerate(records, start=1):
            if len(record) > self.limit:
                raise JobFailedError(
                    f"record {number} has {len(record):,} bytes; a request has at most"
                    f" {self.limit:,} (MaxPayloadInMB)"
                )
            if batch and (not self.is_batched or size + len(record) + 1 > self.limit):
                yield number - len(batch), batch
                batch, size = [], 0
            batch.append(record)
            size += len(record) + 1
        if batch:
            yield len(records) - len(batch) + 1, batch

    def request(self, records: list[bytes], first: int) -> bytes:
        """Return the body of a request with these records."""
        if self.input_filter is not None:
            values = [
                _found(self.input_filter, _value(record, self.input_format, number), number)
                for number, record in enumerate(records, start=first)
            ]
            records = [_written(value, self.input_format) for value in values]
        return b"\n".join(records)

    def output(self, records: list[bytes], first: int, response: bytes) -> bytes:
        """Return what the output gets of the response to a request with these records.

        Raises:
            JobFailedError: If they cannot be joined.
        """
        if not self.is_joined and self.output_filter is None:
            return response.removesuffix(b"\n") + b"\n" if self.is_assembled else response
        predictions = self._predictions(records, response)
        if self.is_joined and len(predictions) != len(records):
            raise JobFailedError(
                f"records {first} to {first + len(records) - 1}: {len(records)} records, and"
                f" {len(predictions)} predictions; to be joined, each record needs one"
            )
        lines = []
        for offset, prediction in enumerate(predictions):
            number = first + offset
            value = _value(prediction, self.output_format, number)
            if self.is_joined:
                record = _value(records[offset], self.input_format, number)
                value = _joined(record, value, self.input_format)
            if self.output_filter is not None:
                value = _found(self.output_filter, value, number)
            lines.append(_written(value, self.output_format))
        separator = b"\n" if self.is_assembled else b""
        return b"".join(line + separator for line in lines)

    def _predictions(self, records: list[bytes], response: bytes) -> list[bytes]:
        """Return the predictions of a response: one for one record, else one a line."""
        if self.output_format == _JSON:
            if len(records) == 1:
                return [response]
            lines = response.strip().splitlines()
            if len(lines) == 1 and lines[0].startswith(b"["):
                return [json.dumps(one).encode() for one in json.loads(lines[0])]
            return lines
        return response.removesuffix(b"\n").split(b"\n")


class _Columns:
    """Indices and ranges of an array, e.g. `$[0,5:]`, which JSONPath itself does not mix."""

    PATTERN = re.compile(r"\$\[(\s*(-?\d+|-?\d*:-?\d*)\s*(,|(?=\])))+\]")

    def __init__(self, text: str) -> None:
        self._parts = [part.strip() for part in text[2:-1].split(",")]

    def find(self, value: Any) -> Any:
        """Return the items; a single index gives its item alone.

        Raises:
            LookupError: If there is no such index, or no array.
        """
        if not isinstance(value, list):
            raise LookupError
        found: list[Any] = []
        for part in self._parts:
            if ":" in part:
                start, end = (int(bound) if bound else None for bound in part.split(":"))
                found += value[start:end]
            else:
                found.append(value[int(part)])
        return found[0] if len(self._parts) == 1 and ":" not in self._parts[0] else found


def _filter(processing: Mapping[str, str], member: str) -> Path | _Columns | None:
    text = processing.get(member, "$")
    if text == "$":
        return None
    if _Columns.PATTERN.fullmatch(text):
        return _Columns(text)
    try:
        return parsed(text)
    except ValueError as error:
        raise invalid(f"DataProcessing.{member}: {text!r}: {error}") from error


def _needs(member: str, content_type: str) -> str:
    return f"DataProcessing.{member} needs {content_type} text/csv, application/json or JSON lines"


def _value(record: bytes, content_type: str, number: int) -> Any:
    """Return a record's value: the columns of CSV, or JSON."""
    try:
        text = record.decode()
        if content_type == _JSON:
            return json.loads(text)
        return next(csv.reader([text.rstrip("\r\n")], strict=True), [])
    except (ValueError, csv.Error) as error:
        raise JobFailedError(f"record {number} is no {content_type}: {error}") from error


def _found(path: Path | _Columns, value: Any, number: int) -> Any:
    try:
        return path.find(value)
    except LookupError as error:
        raise JobFailedError(f"record {number} has nothing at the filter's path") from error


def _joined(record: Any, prediction: Any, content_type: str) -> Any:
    if content_type == _CSV:
        return [*record, *prediction]
    if isinstance(record, dict):
        return {**record, "SageMakerOutput": prediction}
    return {"SageMakerInput": record, "SageMakerOutput": prediction}


def _written(value: Any, content_type: str) -> bytes:
    if content_type == _JSON:
        return json.dumps(value, ensure_ascii=False).encode()
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(value if isinstance(value, list) else [value])
    return line.getvalue().encode()
