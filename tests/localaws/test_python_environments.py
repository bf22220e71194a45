"""Environments of links to the packages that are installed here."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from localaws.python_environments import link_distributions

PACKAGES = ["boto3", "numpy"]
AT_ONCE = 8


def test_environments_can_be_prepared_at_once(tmp_path: Path) -> None:
    """In one directory, which two programs may share, beginning with nothing again and again."""

    def prepare(barrier: Barrier) -> list[str]:
        barrier.wait()
        return link_distributions(tmp_path / "links", PACKAGES)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in range(10):
            shutil.rmtree(tmp_path / "links", ignore_errors=True)
            barrier = Barrier(AT_ONCE)
            missing = [*pool.map(lambda _, at=barrier: prepare(at), range(AT_ONCE))]

            assert missing == [[]] * AT_ONCE
            links = [*(tmp_path / "links").iterdir()]
            assert {"boto3", "botocore", "numpy"} <= {path.name for path in links}
            assert all(path.is_symlink() and path.exists() for path in links)


def test_packages_and_links_to_nowhere_become_links(tmp_path: Path) -> None:
    """A directory that was copied with links followed, or of an environment that has moved."""
    (tmp_path / "boto3").mkdir()
    (tmp_path / "boto3/__init__.py").write_text("raise ImportError\n")
    (tmp_path / "botocore").symlink_to(tmp_path / "nowhere")

    link_distributions(tmp_path, ["boto3"])

    for name in ("boto3", "botocore"):
        assert (tmp_path / name).is_symlink() and (tmp_path / name / "__init__.py").is_file()
