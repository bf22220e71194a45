"""Lines to CloudWatch Logs: within the limits of PutLogEvents, whole, and while a file grows."""

from pathlib import Path
from typing import Any

from botocore.exceptions import EndpointConnectionError

from localaws.log_delivery import deliver, followed


class Logs:
    """A client of CloudWatch Logs that keeps the batches that it gets."""

    def __init__(self) -> None:
        self.batches: list[list[dict[str, Any]]] = []

    def create_log_group(self, **_: Any) -> None: ...

    def create_log_stream(self, **_: Any) -> None: ...

    def put_log_events(self, *, logEvents: list[dict[str, Any]], **_: Any) -> None:  # noqa: N803
        self.batches.append(logEvents)

    @property
    def messages(self) -> list[str]:
        return [event["message"] for batch in self.batches for event in batch]


def size_of(batch: list[dict[str, Any]]) -> int:
    """Return the bytes of a batch as AWS counts them: 26 more for each event.

    https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
    """
    return sum(len(event["message"].encode()) + 26 for event in batch)


def test_batches_are_within_the_limits_and_have_every_line() -> None:
    logs = Logs()
    lines = [*("x" for _ in range(25_000)), *("日本" * 30_000 for _ in range(20)), "", "end"]

    deliver(logs, "group", "stream", lines)

    assert all(len(batch) <= 10_000 and size_of(batch) <= 1_048_576 for batch in logs.batches)
    assert logs.messages == [line for line in lines if line]
    assert len(logs.batches) == 6


def test_a_very_long_line_is_cut_between_letters() -> None:
    logs = Logs()

    deliver(logs, "group", "stream", ["a" + "日" * 500_000])

    assert "".join(logs.messages) == "a" + "日" * 500_000
    assert max(len(message.encode()) for message in logs.messages) == 262_117


def test_a_file_s_lines_are_sent_whole_once_each_and_at_its_end_also_half_a_line(
    tmp_path: Path,
) -> None:
    path, sent = tmp_path / "log", list[str]()
    lines = [f"line {number} {'x' * 200}" for number in range(20_000)]

    with followed(path, sent.extend):
        for start in range(0, len(lines), 1_000):
            with path.open("ab") as file:
                text = "\n".join(lines[start : start + 1_000]) + "\n"
                file.write(text.encode())
        with path.open("ab") as file:
            file.write(b"\xff half a line")

    assert sent == [*lines, "\ufffd half a line"]


def test_lines_that_cannot_be_sent_are_sent_later_and_at_the_end_raise_nothing(
    tmp_path: Path,
) -> None:
    path, sent, is_down = tmp_path / "log", list[str](), True

    def send(lines: list[str]) -> None:
        if is_down:
            raise EndpointConnectionError(endpoint_url="http://127.0.0.1")
        sent.extend(lines)

    path.write_text("one\n")
    with followed(path, send):
        pass
    assert sent == []
    with followed(path, send):
        is_down = False
    assert sent == ["one"]
