"""What a deployment of several recommenders has besides: filters, and permissions of each."""

import pytest

from tests.workflow.options.test_recommenders import SIMILAR, with_recommenders
from workflow import parse_config
from workflow.deployment.artefacts import build_artefacts
from workflow.deployment.permissions import permission_policy
from workflow.deployment.resources import resources

FILTERED = SIMILAR.replace(
    "num_results = 40", "personalize_filter = 'EXCLUDE ItemID WHERE Items.INDUSTRY IN (\"IT\")'"
)
CONFIG = parse_config(
    with_recommenders(FILTERED, "[recommenders.similar.gate]\nmetrics.coverage.minimum = 0.1\n")
)
PERSONALIZE = "arn:aws:personalize:ap-northeast-1:123456789012"
BUCKET = "arn:aws:s3:::labbase-retraining-123456789012-ap-northeast-1"


def allowed(who: str, sid: str) -> list[str]:
    """Return the resources of a statement."""
    statements = permission_policy(CONFIG, who)["Statement"]  # type: ignore[arg-type]
    return next(each["Resource"] for each in statements if each["Sid"] == sid)


def test_each_has_a_filter_of_its_own() -> None:
    made = {each.id: each for each in resources(CONFIG, build_artefacts(CONFIG))}

    filters = {name: each for name, each in made.items() if name.startswith("BatchFilter")}

    assert [each.properties["Name"] for each in filters.values()] == [
        "labbase-batch",
        "labbase-similar-batch",
    ]
    assert list(filters) == ["BatchFilter", "BatchFilterSimilar"]


@pytest.mark.parametrize(
    ("who", "sid", "expected"),
    [
        (
            "functions",
            "SeeWhatIsPublished",
            [
                f"{BUCKET}/recommendations/latest.json",
                f"{BUCKET}/recommendations/similar/latest.json",
            ],
        ),
        (
            "operator",
            "PublishAgain",
            [
                f"{BUCKET}/recommendations/latest.json",
                f"{BUCKET}/recommendations/similar/latest.json",
            ],
        ),
        (
            "deployer",
            "TakeSolutionsAway",
            [f"{PERSONALIZE}:solution/labbase", f"{PERSONALIZE}:solution/labbase-similar"],
        ),
        (
            "deployer",
            "ChangeFilter",
            [f"{PERSONALIZE}:filter/labbase-batch", f"{PERSONALIZE}:filter/labbase-similar-batch"],
        ),
        ("functions", "RecordJudgement", [f"{BUCKET}/runs/*/record/gate.json"]),
    ],
)
def test_what_is_allowed_is_that_of_each(who: str, sid: str, expected: list[str]) -> None:
    assert allowed(who, sid) == expected
