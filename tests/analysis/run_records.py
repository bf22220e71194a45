"""Records of runs whose files are in memory: what a person sees of them is checked by eye."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from analysis.frames import Run
from analysis.run_record import RunRecord
from tests.histories import BEGIN, Event, entered, event, events, execution_failed, exited
from tests.local_runs import EXAMPLE
from workflow import parse_config

DEFINITION = json.loads(
    (Path(__file__).parents[2] / "asl" / "retraining.asl.json").read_text(encoding="utf-8")
)
DAY = 86_400
NEWEST = int(BEGIN.timestamp()) - DAY
ITEMS = ["ITEM_ID,TITLE,DESCRIPTION", *(f"{n},職種{n},長い説明文" for n in range(1, 21))]
USERS = range(1, 41)
EVENTS = [
    "USER_ID,ITEM_ID,TIMESTAMP,EVENT_TYPE",
    *(
        f"{user},{1 + (user * step) % 19},{NEWEST - step * 3_600},閲覧"
        for user in USERS
        for step in range(1, 31)
    ),
]
LISTS = [
    "USER_ID,ITEM_ID,RANK,SCORE",
    *(f"{user},{1 + (user + rank) % 18},{rank},0.5" for user in USERS for rank in range(1, 13)),
]
SUCCEEDED = events(
    entered("ETL"), exited("ETL"), event("ExecutionSucceeded"), seconds=60
)  # fmt: skip
FAILED = events(
    entered("ETL"),
    event("TaskFailed", taskFailedEventDetails={"error": "Glue", "cause": "no column 'x'"}),
    exited("ETL"),
    entered("Report Failure"),
    exited("Report Failure"),
    entered("Retraining Failed", "Fail"),
    execution_failed("Glue", "no column 'x'"),
)


NOTHING_CHANGED: dict[str, Any] = {
    "step": "nothing",
    "why": "nothing has changed since the published list",
    "since": "2024-05-31T04:00:00Z",
    "until": None,
    "datasets": {
        "ITEMS": {"mode": None, "rows": 20, "why": "nothing is new since run 'r1'"},
        "INTERACTIONS": {"mode": None, "rows": 12, "why": "nothing is new since run 'r1'"},
    },
    "trainingMode": None,
    "trainingWhy": "the newest version was trained on the same data",
}


@dataclass(frozen=True)
class Memory:
    """The files of a run, by path."""

    texts: Mapping[str, str]

    def find(self, prefix: str) -> list[str]:
        return sorted(path for path in self.texts if path.startswith(prefix))

    def read(self, path: str) -> bytes:
        return self.texts[path].encode()

    def location(self, path: str = "") -> str:
        return f"memory:{path}"


@dataclass
class Given:
    """What a run is made of; each test changes what it is about."""

    config: str = EXAMPLE
    files: dict[str, str] = field(
        default_factory=lambda: {
            "items/a.csv": "\n".join(ITEMS),
            "interactions/a.csv": "\n".join(EVENTS),
            "recommendations.csv": "\n".join(LISTS),
        }
    )
    manifest: dict[str, Any] = field(
        default_factory=lambda: {
            "datasets": {
                "ITEMS": {"path": "items/", "rows": 20, "rejected": {}},
                "INTERACTIONS": {
                    "path": "interactions/",
                    "rows": 1_200,
                    "rejected": {},
                    "newestTimestamp": NEWEST,
                },
            },
            "batchInput": {"rows": 40},
            "agreement": [],
        }
    )
    events: list[Event] = field(default_factory=lambda: SUCCEEDED)
    metrics: dict[str, dict[str, float]] = field(
        default_factory=lambda: {
            "this version": {"NDCG@10": 0.5, "coverage": 0.9},
            "the version before": {"NDCG@10": 0.5, "coverage": 0.8},
            "popularity": {"NDCG@10": 0.1, "coverage": 0.2},
        }
    )

    def record(self) -> RunRecord:
        config = parse_config(self.config)
        manifest = {"manifest.json": json.dumps(self.manifest)} if self.manifest else {}
        types = {
            str(data_set.type): {column.name: str(column.type) for column in data_set.columns}
            for data_set in config.data_sets
        }
        return RunRecord(
            config=config,
            run=Run("20240601T040000Z-3fa9c1", Memory({**self.files, **manifest}), types),
            definition=DEFINITION,
            events=self.events,
            metrics=self.metrics,
            before=None,
            cost=None,
            now=BEGIN,
        )
