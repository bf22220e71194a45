"""moto's interpreter is imported without EC2's tables; Batch is there when it is called."""

import subprocess
import sys

from tests.localaws.moto_patches.aws import Aws


def test_a_local_aws_is_imported_without_ec2_and_statistics() -> None:
    modules = ["moto.ec2.models", "scipy.stats"]
    program = f"import sys, localaws.aws; print([n for n in {modules} if n in sys.modules])"
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert printed == "[]\n"


def test_batch_answers(aws: Aws) -> None:
    batch = aws.endpoint.client("batch")
    created = batch.create_scheduling_policy(name="fair")
    (policy,) = batch.list_scheduling_policies()["schedulingPolicies"]
    assert policy["arn"] == created["arn"]
