"""Batch jobs: JSON lines on S3 → JSON lines of recommended items or users.

Files are read, scored and written in blocks, so memory does not grow with the number of lines.
"""

from __future__ import annotations

import io
import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from localaws.personalize.batch.lines import Lines
from localaws.personalize.data.s3 import Location
from localaws.personalize.errors import JobFailedError
from localaws.personalize.resources.jobs import Report

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_LINES_PER_BLOCK = 8_192


def run_batch(
    s3: S3Client,
    source_url: str,
    target_url: str,
    make_lines: Callable[[], Lines],
    report: Report,
    *,
    scratch: Path,
    most_lines: int | None,
) -> None:
    """Write the output of every line of input.

    Args:
        s3: Reads and writes the files.
        source_url: `s3://…`: a file of JSON lines, or a prefix of such files.
        target_url: `s3://…`: the folder that gets `NAME.out` for each file.
        make_lines: Returns the model and the filter that make output of lines.
        report: Reports the progress.
        scratch: A directory for one output file at a time.
        most_lines: Most lines of a file, if there is a limit.

    Raises:
        JobFailedError: If there is no input, a file has too many lines, or the output cannot
            be written.
    """
    files, target = Location.parse(source_url).find(s3), Location.parse(target_url)
    if not files:
        raise JobFailedError("Invalid S3 input path")
    target.upload(s3, "_CHECK", io.BytesIO())
    lines = make_lines()
    total, done = sum(file.size for file in files), 0
    for file in files:
        n_lines = 0
        with tempfile.TemporaryFile(dir=scratch) as out, file.open(s3) as content:
            while block := list(itertools.islice(content, _LINES_PER_BLOCK)):
                n_lines += len(block)
                if most_lines is not None and n_lines > most_lines:
                    raise JobFailedError(
                        f"{file.name}: more than {most_lines} lines; split the file"
                    )
                out.writelines(lines.output(block))
                done += sum(map(len, block))
                report(done / total)
            out.seek(0)
            target.upload(s3, f"{file.name}.out", out)
