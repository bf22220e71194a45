"""Batch transform jobs: a model's predictions for the records of objects on S3.

https://docs.aws.amazon.com/sagemaker/latest/dg/batch-transform.html
"""

from __future__ import annotations

import gzip
import tempfile
import zlib
from collections.abc import Mapping
from typing import Any

from localaws.process_groups import kill_group
from localaws.sagemaker.channels import Location, StoredObject, find_of_source, read, upload
from localaws.sagemaker.containers.images import find_image
from localaws.sagemaker.errors import JobFailedError, invalid
from localaws.sagemaker.inference.predictor import Predictor, fetch_code, fetch_model, start_worker
from localaws.sagemaker.inference.records import Transform
from localaws.sagemaker.jobs import Jobs, Run
from localaws.sagemaker.registry import MODEL, TRANSFORM_JOB

_MOST_MEGABYTES = 100
# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ModelClientConfig.html
_TIMEOUT, _RETRIES = 600, 3


class TransformJobs(Jobs):
    """Operations on transform jobs."""

    type = TRANSFORM_JOB
    log_group = "/aws/sagemaker/TransformJobs"

    def _check(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        given, output = request["TransformInput"], request["TransformOutput"]
        source = given["DataSource"]["S3DataSource"]
        if source["S3DataType"] not in {"S3Prefix", "ManifestFile"}:
            raise invalid(
                "TransformInput.DataSource.S3DataSource.S3DataType must be S3Prefix or"
                f" ManifestFile, not {source['S3DataType']}"
            )
        Location.parse(source["S3Uri"], "TransformInput.DataSource.S3DataSource.S3Uri")
        Location.parse(output["S3OutputPath"], "TransformOutput.S3OutputPath")
        payload, concurrent = (
            request.get("MaxPayloadInMB", 6),
            request.get("MaxConcurrentTransforms", 1),
        )
        if payload * max(concurrent, 1) > _MOST_MEGABYTES:
            raise invalid(
                f"MaxConcurrentTransforms * MaxPayloadInMB must not exceed {_MOST_MEGABYTES} MB,"
                f" not {concurrent} * {payload}"
            )
        Transform.of(request)
        model = self._registry.get(MODEL, request["ModelName"]).details
        container = model.get("PrimaryContainer") or model["Containers"][0]
        role = model["ExecutionRoleArn"]
        return {**request, "PrimaryContainer": container, "ExecutionRoleArn": role}

    def _stream(self) -> str:
        return f"i-{0:017x}"

    def _work(self, run: Run) -> None:
        request, role = run.request, run.request["ExecutionRoleArn"]
        s3, region = self._backend.s3(role), self._backend.region
        model = request["PrimaryContainer"]
        image = find_image(model["Image"], region=region, job="inference")
        container = self._container(run, image)
        container.note_instances(request["TransformResources"]["InstanceCount"])
        given = request["TransformInput"]
        objects = find_of_source(
            s3,
            given["DataSource"]["S3DataSource"],
            member="TransformInput.DataSource.S3DataSource.S3Uri",
            role=role,
            region=region,
        )
        fetch_model(container, model, s3, role=role, region=region)
        variables = {
            **model.get("Environment", {}),
            "SAGEMAKER_BATCH": "true",
            "SAGEMAKER_MAX_PAYLOAD_IN_MB": str(request.get("MaxPayloadInMB", 6)),
            "SAGEMAKER_BATCH_STRATEGY": request.get("BatchStrategy", "MultiRecord"),
            "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": str(request.get("MaxConcurrentTransforms", 1)),
            **request.get("Environment", {}),
        }
        directory = fetch_code(container, variables, s3)
        process = self._start(run, lambda: start_worker(container, image, variables, directory))
        client = request.get("ModelClientConfig", {})
        predictor = Predictor(
            process,
            timeout=client.get("InvocationsTimeoutInSeconds", _TIMEOUT),
            retries=client.get("InvocationsMaxRetries", _RETRIES),
        )
        try:
            predictor.load()
            self._transform(run, predictor, objects, s3)
        finally:
            predictor.close()
            kill_group(process.pid)

    def _transform(
        self, run: Run, predictor: Predictor, objects: list[StoredObject], s3: Any
    ) -> None:
        """Write the predictions for each object beside the others', as NAME.out.

        Raises:
            JobFailedError: If it fails for any; the others are written.
        """
        output = run.request["TransformOutput"]
        folder = Location.parse(output["S3OutputPath"], "TransformOutput.S3OutputPath")
        failures: list[str] = []
        for found in objects:
            run.check()
            try:
                with tempfile.TemporaryFile() as file:
                    for part in self._predictions(run, predictor, read(s3, found.location)):
                        file.write(part)
                    file.seek(0)
                    upload(s3, file, folder / f"{found.name}.out", output)
            except JobFailedError as error:
                failures.append(f"{found.location}: {error}")
                if run.process is None or run.process.poll() is not None:
                    break
        if failures:
            others = f" ({len(failures)} of {len(objects)} objects failed)" if objects[1:] else ""
            raise JobFailedError(f"AlgorithmError: {failures[0]}{others}")

    def _predictions(self, run: Run, predictor: Predictor, content: bytes) -> Any:
        """Yield the output for the content of one object, part by part."""
        request = run.request
        transform = Transform.of(request)
        given, accept = request["TransformInput"], request["TransformOutput"].get("Accept", "")
        if given.get("CompressionType") == "Gzip":
            try:
                content = gzip.decompress(content)
            except (OSError, EOFError, zlib.error) as error:
                raise JobFailedError(f"it is not compressed by gzip: {error}") from error
        for first, records in transform.payloads(content):
            run.check()
            body = transform.request(records, first)
            try:
                response = predictor.predict(body, given.get("ContentType", ""), accept)
            except JobFailedError as error:
                last = first + len(records) - 1
                which = f"record {first}" if first == last else f"records {first} to {last}"
                raise JobFailedError(f"{which}: {error}") from error
            yield transform.output(records, first, response)
