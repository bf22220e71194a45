"""Batch jobs: JSON lines on S3 → JSON lines of recommended items or users.

Files are read, scored and written in blocks, so memory does not grow with the number of lines.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from localaws.personalize.batch.lines import Lines
from localaws.personalize.data.s3 import S3, Location
from localaws.personalize.resources.jobs import JobFailedError, Report

_LINES_PER_BLOCK = 8_192


@dataclass(frozen=True)
class Batch:
    """One batch inference or batch segment job.

    Args:
        lines: Makes what answers the lines; called once, on the job's thread.
        source: ``s3://…``: a file of JSON lines, or a prefix of such files.
        target: ``s3://…``: the folder that gets ``NAME.out`` for each file.
        scratch: A directory for one output file at a time.
        most_lines: Most lines of a file, if there is a limit.
    """

    lines: Callable[[], Lines]
    source: str
    target: str
    scratch: Path
    most_lines: int | None = None

    def run(self, s3: S3, report: Report) -> Mapping[str, Any]:
        """Answer every line.

        Raises:
            JobFailedError: If there is no input, a file has too many lines, or the output cannot
                be written.
        """
        client = s3()
        source, folder = Location.parse(self.source), Location.parse(self.target)
        files = source.find(client)
        if not files:
            raise JobFailedError("Invalid S3 input path")
        try:
            client.put_object(Bucket=folder.bucket, Key=folder.inside("_CHECK"), Body=b"")
        except ClientError as error:
            raise JobFailedError("Invalid S3 output path") from error
        lines = self.lines()
        total, done = sum(file.size for file in files), 0
        for file in files:
            n_lines = 0
            with tempfile.TemporaryFile(dir=self.scratch) as out, file.open(client) as content:
                while block := list(itertools.islice(content, _LINES_PER_BLOCK)):
                    n_lines += len(block)
                    if self.most_lines is not None and n_lines > self.most_lines:
                        raise JobFailedError(
                            f"{file.name}: more than {self.most_lines} lines; split the file"
                        )
                    for answer in lines.answers(block):
                        out.write(answer)
                    done += sum(map(len, block))
                    report(done / total)
                out.seek(0)
                key = folder.inside(f"{file.name}.out")
                client.upload_fileobj(out, folder.bucket, key)
        return {}
