"""An archive of the classes that a Spark job loads, by which its Java starts faster (CDS).

Java refuses, and starts without, an archive that is damaged, or that is of another Java or of other
jars: it can make a start slower, never wrong.
https://docs.oracle.com/en/java/javase/17/vm/class-data-sharing.html
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from etl.errors import EtlError

# Java's own variable for the options of every `java` that is started.
_OPTIONS = "JDK_JAVA_OPTIONS"


@dataclass(frozen=True)
class ClassArchive:
    """The archive of a Java and a class path.

    Attributes:
        java: Path of Java.
        drivers: What stands before Spark's own jars in the class path.
        path: The file.
    """

    java: str
    drivers: str
    path: Path

    @classmethod
    def of(cls, java: str, drivers: str, environment: Mapping[str, str]) -> ClassArchive:
        """Return the archive, which need not exist, in the user's directory for caches.

        Args:
            java: Path of Java.
            drivers: What stands before Spark's own jars in the class path.
            environment: Optionally `XDG_CACHE_HOME`.
        """
        caches = environment.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        name = hashlib.sha256(f"{java}\n{drivers}\n{spark_home()}".encode()).hexdigest()[:16]
        return cls(java, drivers, Path(caches, "personalize-retraining", f"{name}.jsa"))

    def options(self) -> str:
        """Return the options by which Java uses the archive; empty if there is none."""
        if not self.path.is_file():
            return ""
        # Without the sums of its parts Java would use one that is damaged inside.
        return f'"-XX:SharedArchiveFile={self.path}" -XX:+VerifySharedSpaces'

    def write(self, recording: Path) -> Path:
        """Write the archive of recorded classes; it is replaced whole.

        Args:
            recording: The directory that `recorded_classes` has returned.

        Returns:
            The file.

        Raises:
            EtlError: If it cannot be written.
        """
        lists = (path.read_text(encoding="utf-8") for path in sorted(recording.iterdir()))
        lines = dict.fromkeys(line for text in lists for line in text.splitlines())
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Beside the archive, which whoever runs it at the same time replaces whole too.
            with tempfile.TemporaryDirectory(dir=self.path.parent) as directory:
                loaded, new = Path(directory, "classes"), Path(directory, "new.jsa")
                loaded.write_text("\n".join(lines) + "\n", encoding="utf-8")
                self._dump(loaded, new)
                new.replace(self.path)
        except OSError as error:
            raise EtlError(
                f"class archive {self.path}: {error.strerror}; name another directory by"
                " XDG_CACHE_HOME"
            ) from None
        return self.path

    def _dump(self, loaded: Path, archive: Path) -> None:
        # As Spark's launcher makes it.
        class_path = [self.drivers, f"{spark_home()}/conf", f"{spark_home()}/jars/*"]
        finished = subprocess.run(
            [
                f"{self.java}/bin/java",
                *("-Xshare:dump", "-XX:+UseG1GC"),  # which alone archives objects too
                f"-XX:SharedClassListFile={loaded}",
                f"-XX:SharedArchiveFile={archive}",
                *("-cp", os.pathsep.join(filter(None, class_path))),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if finished.returncode:
            lines = finished.stdout.strip().splitlines() or ["no reason is given"]
            raise EtlError(f"class archive {self.path}: Java cannot write it: {lines[-1]}")


@contextmanager
def recorded_classes(environment: MutableMapping[str, str]) -> Iterator[Path]:
    """Record the classes that are loaded in a `with` block; yield the directory of the lists.

    Args:
        environment: That of the processes which start Java in the block.
    """
    before = environment.get(_OPTIONS)
    with tempfile.TemporaryDirectory(prefix="classes-") as directory:
        recording = f'"-XX:DumpLoadedClassList={directory}/%p"'
        environment[_OPTIONS] = f"{before} {recording}" if before else recording
        try:
            yield Path(directory)
        finally:
            if before is None:
                del environment[_OPTIONS]
            else:
                environment[_OPTIONS] = before


def spark_home() -> Path:
    """Return the directory of Spark, which comes with Spark for Python.

    Raises:
        EtlError: If it is not installed.
    """
    spec = importlib.util.find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise EtlError("there is no Spark; run 'pip install pyspark==3.5.6'")
    return Path(spec.origin).parent
