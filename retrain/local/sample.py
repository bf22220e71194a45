"""The sample database: a recruiting service for science students, seeded, as messy as real data.

Preferences that a model can learn: each department prefers a few fields of work, each student has
preferences within them, and within a visit interest drifts from one posting to a related one. A
student who viewed a posting may favourite it, and then apply. The mess: closed postings, inactive
students, nulls, anonymous events, repeated views, very uneven popularity, Japanese names, and texts
with commas, quotes and line breaks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from etl.database import Database
from etl.errors import EtlError
from localaws.errors import LocalAwsError
from retrain.local.sample_events import FUNNEL, Events, Postings, draw_events
from retrain.local.sample_size import SampleSize

NOW = datetime(2024, 6, 1, tzinfo=UTC)
"""The newest events happen shortly before; a constant, so that a seed gives the same bytes."""

HISTORY_DAYS = 180
_EVENT_TYPES = np.array([event_type for event_type, _ in FUNNEL])
_LINES = 100_000  # written together
_NULL = r"\N"  # of COPY

_SCHEMA = """
CREATE TABLE departments (id integer, name text NOT NULL, faculty text NOT NULL);
CREATE TABLE students (
    id integer, name text NOT NULL, department_id integer, grade integer, prefecture text,
    status text NOT NULL CHECK (status IN ('active', 'inactive')),
    created_at timestamptz NOT NULL
);
CREATE TABLE companies (
    id integer, name text NOT NULL, industry text NOT NULL, prefecture text
);
CREATE TABLE job_postings (
    id integer, company_id integer NOT NULL,
    title text NOT NULL, description text, job_type text NOT NULL,
    status text NOT NULL CHECK (status IN ('open', 'closed')),
    published_at timestamptz NOT NULL, salary integer
);
CREATE TABLE events (
    id bigint, student_id integer, job_posting_id integer NOT NULL,
    kind text NOT NULL CHECK (kind IN ('view', 'favourite', 'apply')),
    created_at timestamptz NOT NULL
);
"""
TABLES = frozenset(re.findall(r"CREATE TABLE (\w+)", _SCHEMA))
"""The tables of the sample."""

# After the rows: a key is then checked once, and not for each of them.
_KEYS_AND_INDEXES = """
ALTER TABLE departments ADD PRIMARY KEY (id);
ALTER TABLE students ADD PRIMARY KEY (id),
    ADD FOREIGN KEY (department_id) REFERENCES departments;
ALTER TABLE companies ADD PRIMARY KEY (id);
ALTER TABLE job_postings ADD PRIMARY KEY (id), ADD FOREIGN KEY (company_id) REFERENCES companies;
ALTER TABLE events ADD PRIMARY KEY (id), ADD FOREIGN KEY (student_id) REFERENCES students,
    ADD FOREIGN KEY (job_posting_id) REFERENCES job_postings;
CREATE INDEX ON students (department_id);
CREATE INDEX ON job_postings (company_id);
CREATE INDEX ON events (student_id);
CREATE INDEX ON events (job_posting_id);
ANALYZE;
"""
_TABLES = ("departments", "students", "companies", "job_postings", "events")

# (department, faculty, the fields of work that it prefers)
_DEPARTMENTS = (
    ("情報科学科", "理工学部", (0, 1)),
    ("数学科", "理学部", (1, 2)),
    ("物理学科", "理学部", (3, 4)),
    ("化学科", "理学部", (5, 6)),
    ("生物学科", "理学部", (6, 7)),
    ("薬学科", "薬学部", (6, 7)),
    ("機械工学科", "工学部", (4, 8)),
    ("電気電子工学科", "工学部", (3, 0)),
    ("材料工学科", "工学部", (5, 8)),
    ("土木工学科", "工学部", (9, 8)),
    ("建築学科", "工学部", (9, 10)),
    ("農学科", "農学部", (7, 11)),
    ("応用化学科", "工学部", (5, 11)),
    ("地球科学科", "理学部", (9, 2)),
    ("経営工学科", "理工学部", (2, 10)),
)
# (industry, job type): the fields of work
_FIELDS = (
    ("IT・通信", "ソフトウェアエンジニア"),
    ("AI・データ", "データサイエンティスト"),
    ("金融・コンサルティング", "アナリスト"),
    ("半導体・電機", "回路設計"),
    ("自動車・航空", "機械設計"),
    ("化学・素材", "研究開発"),
    ("製薬・医療", "創薬研究"),
    ("バイオ・食品", "品質管理"),
    ("重工・プラント", "生産技術"),
    ("建設・インフラ", "施工管理"),
    ("商社・サービス", "技術営業"),
    ("環境・エネルギー", "環境技術"),
)
_PREFECTURES = ("東京都", "大阪府", "愛知県", "福岡県", "北海道", "宮城県", "京都府", "広島県")
_FAMILY_NAMES = ("佐藤", "鈴木", "高橋", "田中", "伊藤", "渡辺", "山本", "中村", "小林", "髙﨑")
_GIVEN_NAMES = ("陽葵", "蓮", "凛", "湊", "結菜", "大翔", "さくら", "悠真", "葵", "翔太")
_COMPANY_ENDINGS = ("株式会社", "ホールディングス", "テクノロジーズ, Inc.", '研究所 "LAB"')
_TITLE_ENDINGS = ("(新卒)", ", 27卒", ' "リモート可"', "", "インターン 📚")
_DESCRIPTIONS = (
    "仕事内容:\n・{job}として働きます。\n・勤務地, 応相談",
    '{industry}の"最前線"で、{job}を募集。\r\n研究経験を活かせます。',
    "{job}, {industry}",
    "  学部・院 不問。「{job}」に興味があれば歓迎 🙌\\ 詳細は面談で  ",
)


class SampleError(LocalAwsError, ValueError):
    """The sample cannot be created; the database is unchanged."""


def load_sample(url: str, size: SampleSize) -> None:
    """Create the sample's tables in an empty database and fill them.

    Args:
        url: `postgresql://user:password@host:port/database`.
        size: Number of students (some are inactive, a few never do anything), of job postings
            (about a quarter is closed) and of views, favourites and applications. The same size and
            seed give the same rows.

    Raises:
        SampleError: If a size is too small, a table of the sample exists already, or the database
            cannot be written to.
    """
    students, postings, events = size.students, size.postings, size.events
    for name, count, least in (
        ("students", students, 2),
        ("postings", postings, len(_FIELDS)),
        ("events", events, 1),
    ):
        if count < least:
            raise SampleError(f"the sample needs at least {least} {name}, not {count}")
    random = np.random.default_rng(size.seed)
    begin, end = int((NOW - timedelta(days=HISTORY_DAYS)).timestamp()), int(NOW.timestamp())
    companies = max(1, postings // 5)
    published, posting_rows = _postings(random, postings, companies, begin, end)
    departments = random.integers(0, len(_DEPARTMENTS), students)
    with _connection(url) as connection:
        _refuse_to_overwrite(connection)
        connection.execute(_SCHEMA)
        _copy(connection, "departments", [(i, *row[:2]) for i, row in enumerate(_DEPARTMENTS, 1)])
        _copy(connection, "students", _student_rows(random, departments, begin))
        _copy(connection, "companies", _company_rows(random, companies))
        _copy(connection, "job_postings", posting_rows)
        preferences = _preferences(random, departments)
        drawn = draw_events(random, preferences, published, events, (begin, end))
        with connection.cursor().copy("COPY events FROM STDIN") as copy:
            for lines in _event_lines(drawn):
                copy.write(lines)
        connection.execute(_KEYS_AND_INDEXES)


@contextmanager
def _connection(url: str) -> Iterator[psycopg.Connection[Any]]:
    """Connect and commit the block, or raise why the database refuses it."""
    try:
        database = Database.from_url(url)
    except EtlError as error:
        raise SampleError(str(error)) from None
    if database.engine != "postgresql":
        raise SampleError(f"database URL: the sample goes into a PostgreSQL, not {database.engine}")
    try:
        with psycopg.connect(url) as connection:
            yield connection
    except psycopg.Error as error:
        raise SampleError(
            f"{database.description}: {str(error).strip().splitlines()[0]}; may the user"
            f" '{database.user}' connect and create tables there?"
        ) from error


def _refuse_to_overwrite(connection: psycopg.Connection[Any]) -> None:
    existing = connection.execute(
        "SELECT table_name FROM information_schema.tables"
        " WHERE table_schema = current_schema() AND table_name = ANY(%s)",
        (list(_TABLES),),
    ).fetchall()
    if existing:
        names = ", ".join(sorted(name for (name,) in existing))
        raise SampleError(f"the database has these tables already: {names}; name an empty database")


def _copy(connection: psycopg.Connection[Any], table: str, rows: Iterable[Sequence[Any]]) -> None:
    with connection.cursor().copy(f"COPY {table} FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def _student_rows(
    random: np.random.Generator, departments: NDArray[np.int64], begin: int
) -> Iterable[Sequence[Any]]:
    count = len(departments)
    active = random.random(count) >= 0.08
    no_grade, no_prefecture, no_department = (
        random.random(count) < share for share in (0.05, 0.1, 0.02)
    )
    grades = random.integers(1, 7, count)
    for i in range(count):
        name = f"{_FAMILY_NAMES[i % 10]} {_GIVEN_NAMES[(i // 10 + i) % 10]}"
        yield (
            i + 1,
            name,
            None if no_department[i] else int(departments[i]) + 1,
            None if no_grade[i] else int(grades[i]),
            None if no_prefecture[i] else _PREFECTURES[i * 7 % len(_PREFECTURES)],
            "active" if active[i] else "inactive",
            _time(begin - 86_400 * int(grades[i]) * 30),
        )


def _company_rows(random: np.random.Generator, count: int) -> Iterable[Sequence[Any]]:
    fields = random.integers(0, len(_FIELDS), count)
    for i in range(count):
        ending = _COMPANY_ENDINGS[i % len(_COMPANY_ENDINGS)]
        yield (
            i + 1,
            f"{_FAMILY_NAMES[i * 3 % 10]}{i + 1} {ending}",
            _FIELDS[fields[i]][0],
            _PREFECTURES[i % len(_PREFECTURES)] if i % 9 else None,
        )


def _postings(
    random: np.random.Generator, count: int, companies: int, begin: int, end: int
) -> tuple[Postings, list[Sequence[Any]]]:
    # Every field has postings, however few there are.
    field = random.permutation(np.arange(count) % len(_FIELDS))
    popularity = np.power(1.0 + random.permutation(count), -0.55)
    published = random.integers(begin - 60 * 86_400, end - 3 * 86_400, count)
    published[: max(1, count // 3)] = begin - 86_400  # some exist from the beginning
    closed = random.random(count) < 0.25
    no_salary = random.random(count) < 0.2
    salary = random.integers(20, 60, count) * 100_000
    rows: list[Sequence[Any]] = []
    for i in range(count):
        industry, job = _FIELDS[field[i]]
        description = _DESCRIPTIONS[i % len(_DESCRIPTIONS)].format(industry=industry, job=job)
        rows.append(
            (
                i + 1,
                i % companies + 1,
                f"{job}{_TITLE_ENDINGS[i % len(_TITLE_ENDINGS)]}",
                None if i % 17 == 0 else description,
                job,
                "closed" if closed[i] else "open",
                _time(int(published[i])),
                None if no_salary[i] else int(salary[i]),
            )
        )
    return Postings(field, popularity, published), rows


def _preferences(
    random: np.random.Generator, departments: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return each student's preference for each field of work: the department's, and one more."""
    preferences = np.full((len(departments), len(_FIELDS)), 0.015)
    students = np.arange(len(departments))
    preferred = np.array([fields for _, _, fields in _DEPARTMENTS])[departments]
    for field, weight in (
        (preferred[:, 0], 0.55),
        (preferred[:, 1], 0.3),
        (random.integers(0, len(_FIELDS), len(students)), 0.15),
    ):
        preferences[students, field] += weight
    return preferences


def _event_lines(events: Events) -> Iterator[str]:
    """Yield lines of COPY in blocks, oldest first."""
    for begin in range(0, len(events.at), _LINES):
        block = slice(begin, begin + _LINES)
        columns = (
            events.student[block].tolist(),
            events.posting[block].tolist(),
            _EVENT_TYPES[events.stage[block]].tolist(),
            np.datetime_as_string(events.at[block].astype("datetime64[s]")).tolist(),
        )
        yield "".join(
            f"{number}\t{student + 1 or _NULL}\t{posting + 1}\t{event_type}\t{time}Z\n"
            for number, (student, posting, event_type, time) in enumerate(
                zip(*columns, strict=True), start=begin + 1
            )
        )


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
