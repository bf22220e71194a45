"""Every call of every state, spoilt in every way, and then what a rerun makes of it.

    python benchmarks/faults.py
    python benchmarks/faults.py --only "Import Dataset" --only throttle

The deployed workflow on a served local AWS, with a script in place of the Spark job (`--spark`
takes the job itself, and the sample). A clean run says which calls each state makes; then each case
is a run in which one fault happens to one call. A fault that passes has to be survived, any other
one may end the run, with a cause and the state in `retrain explain`; nothing may be half-published.
A run that did not succeed is resumed, and the list has to be, byte for byte, that of the clean run.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config as ClientConfig
from botocore.exceptions import BotoCoreError, ClientError
from fault_server import (
    CREATED_AT,
    FAILED_JOB,
    FAULTS,
    JOBS,
    KILLED_PROCESS,
    KILLED_SERVER,
    PERSISTENT,
    STOPPED,
    StateCall,
)
from small_shop_aws import deploy_small_shop, small_shop

from lambdas.clients import raise_if_cut
from retrain.local.database import sample_database
from retrain.local.deployment import deploy
from retrain.local.sample_size import SampleSize
from retrain.local.scratch import scratch_directory
from workflow import Config, parse_config
from workflow.runs.diagnosis import explain
from workflow.runs.executions import Run, describe_run
from workflow.runs.resumption import resume_run

HERE = Path(__file__).parent
ONE_IMPORT = "import_concurrency = 1"  # at a time, so that a call has one state
LONGEST_RUN = 180.0  # seconds
CASES_OF_A_SERVER = 30
REPORT_FAILURE = "Report Failure"
ALL_FAULTS = (*FAULTS, FAILED_JOB, KILLED_SERVER, KILLED_PROCESS, STOPPED)
PASSING = tuple(fault for fault in FAULTS if fault != PERSISTENT)
# Half of a file ends a job, which the rerun repeats.
CUT, NOT_REPEATED = "cut body", frozenset({"Glue job", "job"})
IN_PROCESSES = frozenset({"function", "Glue job"})


@dataclass(frozen=True)
class Case:
    """A fault of calls of one state; of several only where it passes, each call being hit once."""

    calls: tuple[StateCall, ...]
    fault: str

    @property
    def state(self) -> str:
        """The calls' state."""
        return self.calls[0].state

    @property
    def words(self) -> tuple[str, str, str]:
        """State, calls and fault."""
        return self.state, "; ".join(map(str, self.calls)), self.fault

    @property
    def each(self) -> list[Case]:
        """A case for each call."""
        return [Case((call,), self.fault) for call in self.calls]


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Attributes:
        ended: How the spoilt run ended, and why.
        rerun: What the rerun made of it.
        problem: What should not be so; empty if all is as it should.
    """

    case: Case
    ended: str
    rerun: str
    problem: str


class Server:
    """A served local AWS on a data directory, which may be killed and started again."""

    def __init__(self, directory: Path, config: Config, database_url: str) -> None:
        self.directory, self.config, self._database_url = directory, config, database_url
        self.start()

    def start(self) -> None:
        """Start the process."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        self._process = subprocess.Popen(
            [
                *(sys.executable, str(HERE / "fault_server.py"), str(self.directory)),
                *(self.config.aws.account, self.config.aws.region, self._database_url),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.environment = self._read()
        self._clients: dict[str, Any] = {}

    def stop(self) -> None:
        """End the process, if it has not ended."""
        if self._process.stdin:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    def discard(self) -> None:
        """End the process, and remove its directory."""
        self.stop()
        shutil.rmtree(self.directory)

    def client(self, service: str) -> Any:
        """Return a client, which signs as no role does."""
        if service not in self._clients:
            self._clients[service] = boto3.Session().client(
                service,
                endpoint_url=self.environment["AWS_ENDPOINT_URL"],
                region_name=self.environment["AWS_REGION"],
                aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
                config=ClientConfig(retries={"total_max_attempts": 1}),
            )
            self._clients[service].meta.events.register("before-parse", raise_if_cut)
        return self._clients[service]

    def watch(self, run: str = "", calls: Sequence[StateCall] = (), fault: str = "") -> Any:
        """Name the calls of a run from now on, spoil some; return what was so until now."""
        order = {
            "execution": self.arn(run) if run else "",
            "targets": [asdict(call) for call in calls],
            "fault": fault,
        }
        print(json.dumps(order), file=self._process.stdin, flush=True)
        return self._read()

    def _read(self) -> Any:
        return json.loads(next(iter(self._process.stdout or ())))

    def end_of(self, execution: str) -> Run:
        """Wait for the end of an execution; start the process again if it is killed meanwhile.

        Raises:
            TimeoutError: If it does not end.
        """
        deadline = time.monotonic() + LONGEST_RUN
        while time.monotonic() < deadline:
            with self.surviving():
                now = describe_run(self.client("stepfunctions"), self.arn(execution))
                if now.status != "RUNNING":
                    return now
            time.sleep(0.05)
        raise TimeoutError(f"{execution} runs since {LONGEST_RUN:.0f} s")

    @contextmanager
    def surviving(self) -> Iterator[None]:
        """Start the process again if it is killed in a block, which then ends."""
        try:
            yield
        except (BotoCoreError, ClientError):
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=5)
            if self._process.returncode is None:
                raise
            self.stop()
            self.start()

    def arn(self, execution: str) -> str:
        """Return an execution's ARN."""
        machine = self.config.state_machine_arn
        return f"{machine.replace(':stateMachine:', ':execution:')}:{execution}"

    def run(self, name: str) -> Run:
        """Perform a run; return how it ended."""
        with self.surviving():
            self.client("stepfunctions").start_execution(
                stateMachineArn=self.config.state_machine_arn, name=name, input="{}"
            )
        return self.end_of(name)

    def object(self, key: str) -> bytes:
        """Return an object of the bucket; empty if there is none."""
        s3 = self.client("s3")
        try:
            body = s3.get_object(Bucket=self.config.bucket, Key=key)["Body"]
        except s3.exceptions.NoSuchKey:
            return b""
        return bytes(body.read())

    def latest(self) -> Any:
        """Return what `latest.json` holds."""
        return json.loads(self.object("recommendations/latest.json") or b"{}")

    def list_of(self, run: str) -> bytes:
        """Return a run's list."""
        return self.object(f"runs/{run}/recommendations/recommendations.csv")


class Matrix:
    """The clean run, and cases that are compared with it."""

    def __init__(self, directory: Path, config: Config, database_url: str) -> None:
        self.config, self._database_url = config, database_url
        self._is_small = not database_url
        self._directory, self._copies = directory, itertools.count()
        server = Server(directory / "deployed", config, database_url)
        try:
            self._deploy(server)
            for run in ("first", "clean"):  # the first one creates the solution besides
                server.watch(run)
                if server.run(run).status != "SUCCEEDED":
                    raise SystemExit("the run without a fault does not succeed")
            calls = server.watch()["calls"]
            self.calls = [StateCall(**call) for call in calls]
            self.csv = server.list_of("clean")
            if self._is_small:
                self._break(server, is_broken=True)
                server.watch("clean-failure")
                server.run("clean-failure")
                failing = [StateCall(**call) for call in server.watch()["calls"]]
                self.calls += [call for call in failing if call.state == REPORT_FAILURE]
                self._break(server, is_broken=False)
        finally:
            server.stop()

    def _states(self, server: Server) -> Any:
        return server.client("stepfunctions")

    def _deploy(self, server: Server) -> None:
        if self._is_small:
            deploy_small_shop(self.config, server.client)
        else:
            deploy(self.config, server.client)

    def _break(self, server: Server, *, is_broken: bool) -> None:
        """Let the script fail, so that a failure is reported, or no longer."""
        change = server.client("s3").put_object if is_broken else server.client("s3").delete_object
        change(Bucket=self.config.bucket, Key="broken")

    def cases(self) -> Iterator[Case]:
        """Yield each call with each fault that it can have; passing ones of a state at once.

        Calls of one operation are apart: the second try of the first would pass for the second.
        """
        for fault in ALL_FAULTS:
            alone = list(self.calls)
            if fault in PASSING:
                for _, calls in itertools.groupby(
                    sorted(self.calls, key=lambda call: call.state), key=lambda call: call.state
                ):
                    yield Case(tuple(call for call in calls if call.number == 1), fault)
                alone = [call for call in self.calls if call.number > 1]
            if fault == KILLED_PROCESS:
                alone = [call for call in self.calls if call.caller in IN_PROCESSES]
            if fault == FAILED_JOB:
                alone = [call for call in self.calls if call.operation in JOBS]
            yield from (Case((call,), fault) for call in alone)

    def new_server(self) -> Server:
        """Return a server with a copy of what is deployed, and the clean run."""
        copy = self._directory / f"copy-{next(self._copies)}"
        shutil.copytree(self._directory / "deployed", copy, symlinks=True)
        return Server(copy, self.config, self._database_url)

    def outcome(self, server: Server, case: Case, run: str) -> Outcome:
        """Perform a case: the run with the fault, and the rerun."""
        before = server.latest()
        reports = case.state == REPORT_FAILURE
        if reports:
            self._break(server, is_broken=True)
        server.watch(run, case.calls, case.fault)
        ended = server.run(run)
        spoilt = {StateCall(**call) for call in server.watch()["spoilt"]}
        if reports:
            self._break(server, is_broken=False)
        problems = list(self._problems_of_end(server, case, ended, before))
        if case.fault != KILLED_SERVER and not spoilt.issuperset(case.calls):
            problems.append("a call was not made")
        words = ended.status
        if ended.status == "FAILED":
            failure = explain(
                self._states(server), server.client("logs"), ended, self.config
            ).failure
            words = f"FAILED: {failure.error or 'no error'}"
        rerun = "its own list is the clean run's"
        if ended.status != "SUCCEEDED":
            resumed = server.end_of(
                resume_run(self._states(server), server.client("s3"), self.config, run).name
            )
            rerun = f"{resumed.status}, the clean run's list"
            if resumed.status != "SUCCEEDED":
                problems.append(f"resumed, it is {resumed.status}")
        if server.list_of(run) != self.csv:
            problems.append("the list is another one")
            rerun = rerun.replace("the clean run's", "another")
        elif server.latest().get("run") != run:
            problems.append("latest.json does not name the run")
        return Outcome(case, words, rerun, "; ".join(problems))

    def _problems_of_end(
        self, server: Server, case: Case, ended: Run, before: Any
    ) -> Iterator[str]:
        """Yield what should not be so when the spoilt run has ended."""
        is_expected_to_fail = case.state == REPORT_FAILURE
        is_cut_job = case.fault == CUT and not NOT_REPEATED.isdisjoint(
            call.caller for call in case.calls
        )
        if (
            case.fault in PASSING
            and ended.status != "SUCCEEDED"
            and not (is_expected_to_fail or is_cut_job)
        ):
            yield f"the fault passes, and the run is {ended.status}"
        latest = server.latest()
        if latest != before and (latest.get("run"), server.list_of(ended.run)) != (
            ended.run,
            self.csv,
        ):
            yield "what is published is no whole list"
        if ended.status == "SUCCEEDED":
            return
        explained = explain(self._states(server), server.client("logs"), ended, self.config)
        failure = explained.failure
        if ended.status == "FAILED" and not (failure.error and failure.cause):
            yield "the failure has no cause"
        if ended.status == "FAILED" and not failure.state and case.fault != KILLED_SERVER:
            yield "explain names no state"
        named = {case.state, "ETL" if is_expected_to_fail else ""}
        if all(call.caller == "job" for call in case.calls):
            named.add(CREATED_AT.get(case.state, case.state))
        if failure.state and failure.state not in named | _later_states(case.state):
            yield f"explain names '{failure.state}'"


def _later_states(state: str) -> frozenset[str]:
    """Return the states that tell of a job's failure beside the one that created it."""
    return {
        "Import Dataset": frozenset({"Get Job Status", "Job Complete?", "Import Failed"}),
        "Get Job Status": frozenset({"Job Complete?", "Import Failed"}),
        "Create Solution Version": frozenset(
            {"Get Solution Version Status", "Solution Version Active?"}
        ),
        "Get Solution Version Status": frozenset({"Solution Version Active?"}),
        "Trigger Batch Inference": frozenset({"Get Batch Inference Status", "Batch Completed?"}),
        "Get Batch Inference Status": frozenset({"Batch Completed?"}),
    }.get(state, frozenset())


class Performance:
    """Cases that are performed on several servers, one after the other on each."""

    def __init__(self, matrix: Matrix, cases: Sequence[Case]) -> None:
        self._matrix, self._waiting = matrix, list(reversed(cases))
        self._lock, self._names = threading.Lock(), itertools.count()
        self._of = sum(len(case.calls) for case in cases)
        self._outcomes: list[Outcome] = []

    def perform(self, workers: int) -> list[Outcome]:
        """Perform all cases; return an outcome for each call."""
        with ThreadPoolExecutor(workers) as pool:
            for future in [pool.submit(self._work) for _ in range(workers)]:
                future.result()
        return self._outcomes

    def _work(self) -> None:
        server, performed = None, 0
        try:
            while case := self._next():
                # A fresh directory now and then: the lists that each run reads do not grow.
                if server is None or performed == CASES_OF_A_SERVER:
                    if server:
                        server.discard()
                    server, performed = self._matrix.new_server(), 0
                performed += 1
                try:
                    outcome = self._matrix.outcome(server, case, f"case-{next(self._names)}")
                except Exception as error:
                    outcome = Outcome(case, "", "", f"{type(error).__name__}: {error}")
                    server.discard()
                    server = None
                self._note(outcome)
        finally:
            if server:
                server.discard()

    def _next(self) -> Case | None:
        with self._lock:
            return self._waiting.pop() if self._waiting else None

    def _note(self, outcome: Outcome) -> None:
        """Keep an outcome for each call; of several with a problem, find out which has it."""
        case = outcome.case
        with self._lock:
            if outcome.problem and len(case.calls) > 1:
                self._waiting += reversed(case.each)
                return
            before = len(self._outcomes)
            self._outcomes += [replace(outcome, case=each) for each in case.each]
            _show_progress(before, len(self._outcomes), self._of, outcome)


def _show_progress(before: int, done: int, of: int, outcome: Outcome) -> None:
    words = f"{done} of {of}: {', '.join(outcome.case.words)}"
    if outcome.problem:
        print(f"\r\x1b[K{words}: {outcome.problem}", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        end = "\n" if done == of else ""
        print(f"\r\x1b[K{words}", end=end, file=sys.stderr, flush=True)
    elif before // 20 != done // 20 or done == of:
        print(words, file=sys.stderr, flush=True)


def show(outcomes: Sequence[Outcome], duration: str) -> None:
    """Print a row for each case, how long it took, and how many are as they should be."""
    outcomes = sorted(outcomes, key=lambda outcome: outcome.case.words)
    print("| state | call | fault | ended | rerun |\n|---|---|---|---|---|")
    for outcome in outcomes:
        problem = f" **{outcome.problem}**" if outcome.problem else ""
        words = (*outcome.case.words, outcome.ended, f"{outcome.rerun}{problem}")
        print(f"| {' | '.join(words)} |")
    survived = sum(not outcome.problem for outcome in outcomes)
    print(f"\n{duration}\nsurvived {survived} of {len(outcomes)}")


def is_wanted(case: Case, parts: Sequence[str]) -> bool:
    """Return whether each part of a name is in the state, the calls or the fault of a case."""
    return all(any(part in word for word in case.words) for part in parts)


def main() -> None:
    """Print the table of the cases, or of a part of them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--only", action="append", default=[], help="a part of a state's, call's or fault's name"
    )
    parser.add_argument("--workers", type=int, default=4, help="served local AWSs at a time")
    parser.add_argument("--spark", action="store_true", help="the Spark job itself, on the sample")
    parser.add_argument("--list", action="store_true", help="print the cases alone")
    options = parser.parse_args()
    begun = time.monotonic()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if options.spark:
            text = (HERE.parent / "retraining.toml").read_text(encoding="utf-8")
            config = parse_config(f"{ONE_IMPORT}\n{text}")
            scratch = stack.enter_context(scratch_directory("faults-"))
            size = SampleSize(students=300, postings=60, events=6_000)
            url = stack.enter_context(sample_database(scratch, size))
        else:
            config, url = small_shop(ONE_IMPORT), ""
        matrix = Matrix(directory, config, url)
        cases = [case for case in matrix.cases() if is_wanted(case, options.only)]
        if options.list:
            each = [each for case in cases for each in case.each]
            print(*(" | ".join(case.words) for case in each), f"{len(each)} cases", sep="\n")
            return
        outcomes = Performance(matrix, cases).perform(options.workers)
    show(outcomes, f"in {time.monotonic() - begun:.0f} s, {options.workers} servers at a time")
    if any(outcome.problem for outcome in outcomes):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
