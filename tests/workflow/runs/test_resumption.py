"""A run that fails anywhere is resumed: the same list, and nothing is imported or trained twice.

Everything is the deployed workflow on the local AWS, but for the Spark job, in whose place a script
writes the same few rows; a fault is a function that raises, before it did its work or after it.
"""

import html
import importlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lambdas import filter_recommendations
from lambdas.errors import ExecutionStopped
from localaws.aws import LocalAws
from retrain.local.deployment import deploy
from retrain.main import app
from workflow import Config, load_config, parse_config
from workflow.run_names import execution_name
from workflow.runs.executions import (
    Run,
    RunningError,
    describe_run,
    executions_of,
    find_run,
    start_run,
)
from workflow.runs.history import HistoryReader, failure_of, follow, history
from workflow.runs.resumption import resume_run, resumption_of

SMALL_SHOP = Path(__file__).parents[3] / "benchmarks" / "small_shop"
CONFIG = (SMALL_SHOP / "retraining.toml").read_text(encoding="utf-8")
# In place of the Spark job: the data of 30 users, which is complete with the manifest.
SCRIPT = (SMALL_SHOP / "job.py").read_text(encoding="utf-8")
FUNCTIONS = {
    "begin-run": "begin_run",
    "list-datasets": "list_datasets",
    "create-import-job": "create_import_job",
    "create-solution-version": "create_solution_version",
    "create-batch-inference-job": "create_batch_inference_job",
    "get-status": "get_status",
    "filter-recommendations": "filter_recommendations",
}
JOBS = {"Get Job Status": ":dataset-import-job/users"}
JOBS |= {"Get Solution Version Status": ":solution/", "Get Batch Inference Status": ":batch-"}
STATES = {
    "Begin Run": "begin-run",
    "List Datasets": "list-datasets",
    "Import Dataset": "create-import-job",
    "Get Job Status": "get-status",
    "Create Solution Version": "create-solution-version",
    "Get Solution Version Status": "get-status",
    "Trigger Batch Inference": "create-batch-inference-job",
    "Get Batch Inference Status": "get-status",
    "Filter Recommended Item": "filter-recommendations",
}


class Shop:
    """A deployment whose functions can be broken, each by what is called before or after it."""

    def __init__(
        self, aws: LocalAws, config: Config, file: Path, *, breakable: Mapping[str, str] = FUNCTIONS
    ) -> None:
        self.aws, self.config, self.file = aws, config, file
        self.states, self.s3 = aws.client("stepfunctions"), aws.client("s3")
        self.before: dict[str, Callable[[Any], None]] = {}
        self.after: dict[str, Callable[[Any], None]] = {}
        self.breakable = breakable
        self.deploy(config)
        self.undisturbed = self.list_of("undisturbed", self.run("undisturbed"))

    def deploy(self, config: Config) -> None:
        """Deploy, with functions that can be broken, and the script in place of the Spark job."""
        self.config = config
        deploy(config, self.aws.client)
        self.make_breakable(self.breakable)
        self.put("artifacts/script.py", SCRIPT)
        glue = self.aws.client("glue")
        job = glue.get_job(JobName=config.glue_job)["Job"]
        job["Command"]["ScriptLocation"] = f"s3://{config.bucket}/artifacts/script.py"
        update = {key: job[key] for key in ("Role", "Command", "DefaultArguments")}
        glue.update_job(JobName=config.glue_job, JobUpdate=update)

    def make_breakable(self, functions: Mapping[str, str]) -> None:
        for name, module in functions.items():
            handler = importlib.import_module(f"lambdas.{module}").handler
            self.aws.functions.register(self.config.function(name), self._breakable(name, handler))

    def _breakable(self, name: str, handler: Any) -> Any:
        def broken(event: Any, context: Any) -> Any:
            self.before.get(name, lambda _: None)(event)
            answer = handler(event, context)
            self.after.get(name, lambda _: None)(event)
            return answer

        return broken

    def put(self, key: str, text: str) -> None:
        self.s3.put_object(Bucket=self.config.bucket, Key=key, Body=text.encode())

    def end_of(self, run: Run) -> Run:
        for _ in follow(HistoryReader(self.states, run.arn), poll_seconds=0.05):
            pass
        return describe_run(self.states, run.arn)

    def run(self, name: str) -> Run:
        return self.end_of(start_run(self.states, self.config.state_machine_arn, name=name))

    def mend(self) -> None:
        self.before.clear()
        self.after.clear()

    def resume(self, run: str) -> Run:
        self.mend()
        return self.end_of(resume_run(self.states, self.s3, self.config, run))

    def list_of(self, run: str, ended: Run) -> str:
        assert ended.status == "SUCCEEDED", failure_of(history(self.states, ended.arn))
        latest = self.latest()
        assert latest["run"] == run
        key = f"runs/{run}/recommendations/recommendations.csv"
        body = self.s3.get_object(Bucket=self.config.bucket, Key=key)["Body"].read()
        return str(body.decode())

    def latest(self) -> Any:
        key = "recommendations/latest.json"
        return json.loads(self.s3.get_object(Bucket=self.config.bucket, Key=key)["Body"].read())

    def put_latest(self, content: Any) -> None:
        self.put("recommendations/latest.json", json.dumps(content))

    def paid(self, run: str) -> dict[str, int]:
        """Return how many jobs of a run there are that did not fail."""
        personalize = self.aws.client("personalize")
        imports = personalize.list_dataset_import_jobs()["datasetImportJobs"]
        versions = personalize.list_solution_versions()["solutionVersions"]
        described = [
            personalize.describe_solution_version(solutionVersionArn=each["solutionVersionArn"])
            for each in versions
        ]
        batches = personalize.list_batch_inference_jobs()["batchInferenceJobs"]
        names = [(each["jobName"], each["status"]) for each in (*imports, *batches)]
        names += [(each["solutionVersion"]["name"],) * 2 for each in described]
        kinds = ("users", "interactions", "version", "batch")
        return {
            kind: sum(
                name.startswith(f"{kind}-{run}-") and status != "CREATE FAILED"
                for name, status in names
            )
            for kind in kinds
        }


ONCE = {"users": 1, "interactions": 1, "version": 1, "batch": 1}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    directory = tmp_path_factory.mktemp("shop")
    file = directory / "retraining.toml"
    file.write_text(CONFIG, encoding="utf-8")
    with LocalAws(
        directory=directory / "aws",
        is_kept=False,
        account="123456789012",
        region="eu-central-1",
        time_scale=0,
    ) as aws:
        yield Shop(aws, load_config(file), file)


@pytest.fixture
def retrain(shop: Shop) -> Callable[..., Any]:
    return lambda *arguments: CliRunner().invoke(app, [*arguments, "--config", str(shop.file)])


def breaks(state: str) -> Callable[[Any], None]:
    def raise_(event: Any) -> None:
        if JOBS.get(state, "") in event.get("arn", ""):
            raise RuntimeError(f"{state} is broken")

    return raise_


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_that_fails_at_every_state_in_turn_is_paid_once(shop: Shop, when: str) -> None:
    """A function raises before it does its work, or when it is done: nobody hears of it then."""
    run, states = f"failing-{when}", [*STATES]
    machine = shop.config.state_machine_arn
    for number, state in enumerate(states, start=1):
        getattr(shop, when)[STATES[state]] = breaks(state)
        if number == 1:
            failed = shop.run(run)
        else:
            failed = shop.end_of(resume_run(shop.states, shop.s3, shop.config, run))
        shop.mend()
        failure = failure_of(history(shop.states, failed.arn))

        assert (failed.name, failed.run) == (execution_name(run, number), run)
        assert failure
        assert (failure.state, failure.cause) == (state, f"{state} is broken")

    resumed = shop.end_of(resume_run(shop.states, shop.s3, shop.config, run))

    assert resumed.name == f"{run}.{len(states) + 1}"
    assert shop.list_of(run, resumed) == shop.undisturbed
    assert shop.paid(run) == ONCE
    assert find_run(shop.states, machine, run) == resumed
    assert executions_of(shop.states, machine, run)[0].status == "FAILED"
    glue = shop.aws.client("glue").get_job_runs(JobName=shop.config.glue_job)["JobRuns"]
    assert sum(each["Arguments"]["--run"] == run for each in glue) == 1


def test_the_report_of_a_resumed_run_shows_all_of_its_executions(
    shop: Shop, retrain: Any, tmp_path: Path
) -> None:
    page = str(tmp_path / "report.html")
    shop.before["create-solution-version"] = breaks("Create Solution Version")
    shop.run("thrice")
    shop.end_of(resume_run(shop.states, shop.s3, shop.config, "thrice"))
    assert shop.resume("thrice").status == "SUCCEEDED"

    reported = retrain("report", "thrice", "--output", page)
    assert reported.exit_code == 0, reported.output
    text = Path(page).read_text(encoding="utf-8")
    shown = text[text.index('<section id="executions"') : text.index('<section id="graph"')]
    rows = [
        re.findall(r"<t[hd] [^>]*>(.*?)</t[hd]>", row)
        for row in re.findall(r"(?s)<tr>.*?</tr>", shown)
    ]
    assert [(row[0], row[3]) for row in rows[1:]] == [
        ("thrice", "FAILED"),
        ("thrice.2", "FAILED"),
        ("thrice.3", "SUCCEEDED"),
    ]
    assert "in state 'Create Solution Version'" in html.unescape(rows[1][4])
    assert rows[3][4] == ""
    assert "are those of one of them, thrice.3." in shown

    retrain("report", "undisturbed", "--output", page)
    assert 'id="executions"' not in Path(page).read_text(encoding="utf-8")


def test_a_spark_job_that_failed_halfway_runs_again(shop: Shop) -> None:
    shop.put("broken", "")
    failed = shop.run("halfway")
    shop.s3.delete_object(Bucket=shop.config.bucket, Key="broken")
    assert failed.status == "FAILED"

    assert shop.list_of("halfway", shop.resume("halfway")) == shop.undisturbed
    assert shop.paid("halfway") == ONCE


def test_an_import_that_failed_is_followed_by_another(shop: Shop) -> None:
    """Of what had been imported then, nothing is imported again."""
    key, good = "runs/broken-csv/users/part-0.csv", "runs/undisturbed/users/part-0.csv"
    shop.before["list-datasets"] = lambda _: shop.put(key, "USER_ID\n1\n")
    assert shop.run("broken-csv").status == "FAILED"
    copied = {"Bucket": shop.config.bucket, "Key": good}
    shop.s3.copy_object(Bucket=shop.config.bucket, Key=key, CopySource=copied)

    assert shop.list_of("broken-csv", shop.resume("broken-csv")) == shop.undisturbed
    assert shop.paid("broken-csv") == ONCE


def test_a_run_that_was_stopped_goes_on(shop: Shop) -> None:
    def stop(event: Any) -> None:
        if ":solution/" in event["arn"]:
            arn = f"{shop.config.state_machine_arn}:stopped".replace("stateMachine", "execution")
            shop.states.stop_execution(executionArn=arn)

    shop.before["get-status"] = stop
    assert shop.run("stopped").status == "ABORTED"

    resumed = shop.resume("stopped")
    assert shop.list_of("stopped", resumed) == shop.undisturbed
    assert shop.paid("stopped") == ONCE
    personalize = shop.aws.client("personalize")
    going_on = resumption_of(shop.states, shop.s3, personalize, shop.config, resumed)
    (version,) = going_on.going_on
    assert version.startswith("solution version ")
    assert list(going_on.lines[1:]) == [
        "kept: the data sets, the import of users, the import of interactions",
        f"in progress at its end, and waited for: {version}",
    ]


def test_a_run_that_is_stopped_while_it_filters_publishes_nothing(shop: Shop) -> None:
    """The function goes on, as it does on AWS, after its execution has ended."""
    before, refused = shop.latest(), list[str]()
    answered = threading.Event()

    def stop(event: Any) -> None:
        shop.states.stop_execution(executionArn=event["execution"])
        try:
            filter_recommendations.handler(event, None)
        except ExecutionStopped as error:
            refused.append(str(error))
        finally:
            answered.set()

    shop.before["filter-recommendations"] = stop
    assert shop.run("stopped-late").status == "ABORTED"
    assert answered.wait(30)

    assert refused == [
        "execution 'stopped-late' is ABORTED: its list is not published, and the published one"
        " stays; 'retrain resume stopped-late' goes on with the run"
    ]
    assert shop.latest() == before
    assert shop.list_of("stopped-late", shop.resume("stopped-late")) == shop.undisturbed
    assert shop.paid("stopped-late") == ONCE


def test_of_each_of_six_pairs_that_start_together_one_run_publishes(shop: Shop) -> None:
    machine = shop.config.state_machine_arn
    for pair in range(6):
        names = [f"pair-{pair}-{side}" for side in ("a", "b")]
        with ThreadPoolExecutor() as pool:
            started = list(pool.map(lambda name: start_run(shop.states, machine, name=name), names))
        ended = [shop.end_of(run) for run in started]

        published = [run.name for run in ended if shop.paid(run.name) == ONCE]
        assert [run.status for run in ended] == ["SUCCEEDED"] * 2
        assert published == [shop.latest()["run"]]
        (skipped,) = set(names) - set(published)
        assert shop.paid(skipped) == dict.fromkeys(ONCE, 0)


def test_of_two_runs_at_once_one_publishes(shop: Shop, retrain: Any) -> None:
    ended: list[Run] = []
    shop.before["list-datasets"] = lambda _: ended or ended.append(shop.run("second"))
    started = retrain("start", "--name", "first", "--wait", "--poll-seconds", "0.05")
    shop.mend()
    (second,) = ended

    latest = shop.latest()
    assert latest["run"] == "first"
    assert started.stdout.splitlines()[-3:] == [
        "first: SUCCEEDED",
        f"  150 recommendations for 30 users, of data extracted at {latest['extractedAt']}",
        f"  {latest['csv']}",
    ]
    assert second.status == "SUCCEEDED"
    assert shop.paid("second") == dict.fromkeys(ONCE, 0)
    ended, published = retrain("watch", "second").stdout.splitlines()[-2:]
    assert ended.startswith(
        "second: SUCCEEDED, published nothing: run 'first' is in progress since 20"
    )
    assert published == f"  the list of run 'first' is published: {latest['csv']}"
    listed = json.loads(retrain("executions", "--json").stdout)
    (shown,) = [each for each in listed if each["name"] == "second"]
    assert (shown["outcome"], shown["endedBy"]) == ("skipped", "Skipped for Another Run")
    resumed = retrain("resume", "second")
    assert resumed.exit_code == 1
    assert "run 'second' has SUCCEEDED, at 'Skipped for Another Run', so that" in resumed.stderr


def test_a_run_that_waits_for_another_one_says_for_which(shop: Shop, retrain: Any) -> None:
    """At the local endpoint it is tried again at once, and so is seldom seen between two tries."""
    shop.file.write_text(f'{CONFIG}\n[runs]\noverlap = "wait"\n', encoding="utf-8")
    shop.deploy(load_config(shop.file))
    released = threading.Event()
    shop.before["list-datasets"] = lambda _: released.wait(20)
    first = start_run(shop.states, shop.config.state_machine_arn, name="goes-first")
    threading.Timer(2, released.set).start()

    shown = retrain("start", "--name", "waits", "--wait", "--poll-seconds", "0.05").stdout

    shop.mend()
    assert shop.end_of(first).status == "SUCCEEDED"
    shop.file.write_text(CONFIG, encoding="utf-8")
    shop.deploy(load_config(shop.file))
    (why,) = [line for line in shown.splitlines() if "is tried again" in line]
    assert "Begin Run is tried again: run 'goes-first' is in progress since 20" in why
    assert why.endswith("another one waits, is skipped or fails")


def test_without_a_name_the_run_is_resumed_that_failed_last(shop: Shop, retrain: Any) -> None:
    """It was stopped after another one had been skipped, which succeeded, and did nothing."""
    shop.before["create-solution-version"] = breaks("Create Solution Version")
    shop.run("broken-before")
    shop.mend()

    noted: list[str] = []

    def stop(_: Any) -> None:
        noted.append(retrain("start", "--name", "meanwhile").stdout)
        machine = shop.config.state_machine_arn
        assert shop.end_of(find_run(shop.states, machine, "meanwhile")).status == "SUCCEEDED"
        arn = f"{shop.config.state_machine_arn}:unlucky".replace("stateMachine", "execution")
        shop.states.stop_execution(executionArn=arn)

    shop.after["create-solution-version"] = stop
    assert shop.run("unlucky").status == "ABORTED"
    shop.mend()
    assert noted[0].splitlines()[2] == (
        "run 'unlucky' is in progress too: one run goes at a time, and the second is skipped"
    )

    assert "unlucky: ABORTED" in retrain("explain").stdout.splitlines()[1]
    resumed = retrain("resume", "--wait", "--poll-seconds", "0.05").stdout.splitlines()
    assert resumed[0] == "started unlucky.2"
    assert resumed[1].startswith("  after 'unlucky', which ended as ABORTED at 20")
    assert "unlucky.2: SUCCEEDED" in resumed
    assert shop.paid("unlucky") == ONCE

    again = retrain("resume")
    assert again.exit_code == 1
    assert again.stderr == (
        "run 'unlucky' has succeeded since 'broken-before' failed, so that there is nothing to go"
        " on with; 'retrain resume broken-before' does so all the same\n"
    )


def test_a_list_of_older_data_is_not_published(shop: Shop, retrain: Any) -> None:
    newer = {**shop.latest(), "run": "newer", "extractedAt": "2100-01-01T00:00:00Z"}
    before = shop.latest()
    shop.before["filter-recommendations"] = lambda _: shop.put_latest(newer)
    shop.run("older")
    shop.mend()
    latest = shop.latest()
    shop.put_latest(before)

    shown = retrain("watch", "older").stdout
    assert "older: SUCCEEDED, published nothing: the list of run 'newer' is published" in shown
    assert latest == newer
    refused = retrain("publish", "older").stderr
    assert refused.startswith("run 'older' published nothing: the list of run 'newer' is published")


def test_what_cannot_be_resumed_is_refused(shop: Shop) -> None:
    machine = shop.config.state_machine_arn

    def resume(run: str, config: Config = shop.config) -> Run:
        return resume_run(shop.states, shop.s3, config, run)

    with pytest.raises(RunningError, match="run 'undisturbed' has SUCCEEDED"):
        resume("undisturbed")
    with pytest.raises(RunningError, match=r"no execution 'undisturbd'; did you mean"):
        resume("undisturbd")

    shop.before["create-solution-version"] = breaks("Create Solution Version")
    shop.run("refused")
    shop.mend()
    changed = parse_config(CONFIG.replace("users.age", "users.years"))
    with pytest.raises(RunningError, match=r"by another specification.*'retrain start' begins"):
        resume("refused", changed)

    refusals: list[str] = []

    def resume_meanwhile(_: Any) -> None:
        for run in ("refused", "going-on"):
            with pytest.raises(RunningError) as raised:
                resume(run)
            refusals.append(str(raised.value))

    shop.before["list-datasets"] = resume_meanwhile
    shop.run("going-on")
    shop.mend()
    assert refusals[0].startswith("run 'going-on' is in progress; resume 'refused' when")
    assert refusals[1].startswith("execution 'going-on' is RUNNING")
    with pytest.raises(RunningError, match=r"'retrain resume RUN'"):
        start_run(shop.states, machine, name="a.b")


def test_explain_ends_with_the_command_that_resumes(shop: Shop, retrain: Any) -> None:
    shop.before["create-solution-version"] = breaks("Create Solution Version")
    shop.run("explained")
    shop.mend()

    explained = retrain("explain", "explained").stdout
    resumed = retrain("resume", "explained", "--wait", "--poll-seconds", "0.05")

    assert explained.rstrip().endswith("'retrain resume explained'")
    assert resumed.exit_code == 0, resumed.output
    started, after, kept = resumed.stdout.splitlines()[:3]
    assert started == "started explained.2"
    assert after.startswith("  after 'explained', which ended as FAILED at 20")
    assert kept == "  kept: the data sets, the import of users, the import of interactions"
    assert "\nexplained.2: SUCCEEDED\n  150 recommendations for 30 users" in resumed.stdout
    assert shop.latest()["run"] == "explained"
    listed = json.loads(retrain("executions", "--limit", "2", "--json").stdout)
    assert [each["name"] for each in listed] == ["explained.2", "explained"]
    assert {each["run"] for each in listed} == {"explained"}


def test_an_earlier_list_is_published_again_until_the_next_run(shop: Shop, retrain: Any) -> None:
    shop.run("list-1")
    time.sleep(1.1)  # the age of data is known in seconds
    shop.run("list-2")

    back = retrain("publish", "list-1")
    listed = json.loads(retrain("published", "--json", "--limit", "2").stdout)

    assert back.exit_code == 0, back.output
    assert [(each["run"], each["current"]) for each in listed] == [
        ("list-2", False),
        ("list-1", True),
    ]
    assert shop.latest()["run"] == "list-1"
    assert shop.latest()["newestExtractedAt"] == listed[0]["extractedAt"]
    assert "is the published one already" in retrain("publish", "list-1").stderr
    missing = retrain("publish", "list-3").stderr
    assert missing == "there is no run 'list-3'; did you mean list-2?\n"  # not the published one
    shop.before["create-solution-version"] = breaks("Create Solution Version")
    shop.run("no-list")
    shop.mend()
    refused = retrain("publish", "no-list").stderr
    assert refused.startswith(
        "run 'no-list' has no list: it ended as FAILED, by 'Create Solution V"
    )

    csv = {"Bucket": shop.config.bucket, "Key": "runs/list-2/recommendations/recommendations.csv"}
    shop.s3.delete_object(**csv)
    assert "recommendations.csv is deleted" in retrain("publish", "list-2").stderr
    for entry in shop.s3.list_objects_v2(Bucket=shop.config.bucket, Prefix="runs/list-2/")[
        "Contents"
    ]:
        shop.s3.delete_object(Bucket=shop.config.bucket, Key=entry["Key"])
    assert (
        "the files of run 'list-2' are deleted, its list too" in retrain("publish", "list-2").stderr
    )
    assert shop.latest()["run"] == "list-1"
    shop.run("list-3")
    assert shop.latest()["run"] == "list-3"
    assert "newestExtractedAt" not in shop.latest()


def test_a_list_that_was_too_large_for_the_function_is_filtered_by_a_spark_job(shop: Shop) -> None:
    """The run is resumed with another configuration, which changes nothing that it extracted."""
    before, run = shop.config, "too-large"
    shop.before["filter-recommendations"] = breaks("Filter Recommended Item")
    assert shop.run(run).status == "FAILED"
    shop.deploy(parse_config(f"{CONFIG}[filter]\nspark_above = 29\n"))

    assert shop.list_of(run, shop.resume(run)) == shop.undisturbed
    glue = shop.aws.client("glue").get_job_runs(JobName=shop.config.glue_job)["JobRuns"]
    tasks = [each["Arguments"].get("--task") for each in glue if each["Arguments"]["--run"] == run]
    assert tasks == ["filter", None]
    assert shop.paid(run) == ONCE
    assert shop.latest()["users"] == 30
    shop.deploy(before)


DELIVERY = '[delivery]\nto = "database"\ntable = "{}"\n'
OTHERWISE = """
[etl]
fetch_size = 500
partitions = 2
[agreement]
batch_input = 0.2
different_lists = 0.0
"""


def test_a_delivery_that_was_mended_is_all_that_is_left_to_do(shop: Shop) -> None:
    """Nothing that was extracted changes by it, nor by how it is read and judged."""
    before, run = shop.config, "undelivered"
    shop.deploy(parse_config(f"{CONFIG}{DELIVERY.format('list')}"))
    failure = failure_of(history(shop.states, shop.run(run).arn))
    assert failure
    assert failure.state == "Deliver Recommendations"
    views = 'table = "views"'
    shop.deploy(
        parse_config(
            f"{CONFIG}{DELIVERY.format('lists')}{OTHERWISE}".replace(
                views, f'{views}\npartition_column = "id"'
            )
        )
    )

    assert shop.list_of(run, shop.resume(run)) == shop.undisturbed
    assert shop.paid(run) == ONCE
    shop.deploy(before)
