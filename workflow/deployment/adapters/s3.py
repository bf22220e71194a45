"""The bucket of every run, its policy, and the objects uploaded into it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from workflow.deployment.adapters.adapter import (
    Adapter,
    Properties,
    TakenError,
    pick,
    unless_absent,
)
from workflow.deployment.differences import tags_of
from workflow.deployment.resources import Resource

_MOST_KEYS = 1_000  # of one DeleteObjects request
_SAME_IN_S3 = frozenset({"Status", "NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload"})


class Bucket(Adapter):
    """AWS::S3::Bucket."""

    service = "s3"
    properties = frozenset(
        {"BucketName", "BucketEncryption", "LifecycleConfiguration", "OwnershipControls",
         "PublicAccessBlockConfiguration", "Tags", "VersioningConfiguration"}
    )  # fmt: skip
    loses = "every run's files"
    # Of every bucket made since 2023. https://docs.aws.amazon.com/AmazonS3/latest/userguide
    defaults: ClassVar[Mapping[str, Any]] = {
        "BucketEncryption": {
            "ServerSideEncryptionConfiguration": [
                {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
            ]
        },
        "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
    }

    def read(self, resource: Resource) -> Mapping[str, Any] | None:
        name, client = resource.name, self.client
        if not self._exists(name):
            return None

        def setting(call: Any, absent: str, member: str) -> Any:
            return (unless_absent(call, absent, Bucket=name) or {}).get(member)

        encryption = setting(
            client.get_bucket_encryption,
            "ServerSideEncryptionConfigurationNotFoundError",
            "ServerSideEncryptionConfiguration",
        )
        lifecycle_rules = setting(
            client.get_bucket_lifecycle_configuration, "NoSuchLifecycleConfiguration", "Rules"
        )
        current = {
            "BucketName": name,
            "BucketEncryption": encryption
            and {
                "ServerSideEncryptionConfiguration": [
                    _encryption_from_s3(rule) for rule in encryption["Rules"]
                ]
            },
            "LifecycleConfiguration": lifecycle_rules
            and {"Rules": [_lifecycle_rule_from_s3(rule) for rule in lifecycle_rules]},
            "OwnershipControls": setting(
                client.get_bucket_ownership_controls,
                "OwnershipControlsNotFoundError",
                "OwnershipControls",
            ),
            "PublicAccessBlockConfiguration": setting(
                client.get_public_access_block,
                "NoSuchPublicAccessBlockConfiguration",
                "PublicAccessBlockConfiguration",
            ),
            "Tags": setting(client.get_bucket_tagging, "NoSuchTagSet", "TagSet"),
            "VersioningConfiguration": pick(client.get_bucket_versioning(Bucket=name), {"Status"}),
        }
        return {name: value for name, value in current.items() if value}

    def _exists(self, name: str) -> bool:
        aws = self.config.aws
        try:
            response = self.client.head_bucket(Bucket=name, ExpectedBucketOwner=aws.account)
            region = response.get("BucketRegion", aws.region)
        except ClientError as error:
            metadata = error.response["ResponseMetadata"]
            status = metadata["HTTPStatusCode"]
            if status == 404:
                return False
            if status == 403:
                raise TakenError(
                    f"bucket '{name}' is another account's, or s3:ListBucket on it is denied:"
                    " give another name in [aws] bucket, or ask for that permission"
                ) from error
            if status != 301:
                raise
            headers = metadata.get("HTTPHeaders", {})
            region = headers.get("x-amz-bucket-region", "another region")
        if region != aws.region:
            raise TakenError(
                f"bucket '{name}' is in {region}, but [aws] region is {aws.region}: mend the"
                " region, or give another name in [aws] bucket"
            )
        return True

    def create(self, resource: Resource) -> None:
        """Create the bucket; a fresh one of ours that another deployment created is kept."""
        region = self.config.aws.region
        # us-east-1 is the one region that CreateBucket does not take.
        location = {"CreateBucketConfiguration": {"LocationConstraint": region}}
        request = {"Bucket": resource.name, **({} if region == "us-east-1" else location)}
        try:
            unless_absent(self.client.create_bucket, "BucketAlreadyOwnedByYou", **request)
        except self.client.exceptions.BucketAlreadyExists as error:
            raise TakenError(
                f"bucket '{resource.name}' is another account's: names of buckets are taken for all"
                " of AWS. Give another one in [aws] bucket"
            ) from error
        # The tag first: whatever fails after it, the bucket is known to be ours.
        self.tag(resource)
        self.change(resource, resource.properties.keys() - {"Tags", "BucketName"})

    def change(self, resource: Resource, changed: AbstractSet[str]) -> None:
        client = self.client
        for name in sorted(changed):
            request, value = {"Bucket": resource.name}, resource.properties[name]
            match name:
                case "BucketEncryption":
                    rules = map(_encryption_to_s3, value["ServerSideEncryptionConfiguration"])
                    client.put_bucket_encryption(
                        **request, ServerSideEncryptionConfiguration={"Rules": list(rules)}
                    )
                case "LifecycleConfiguration":
                    rules = map(_lifecycle_rule_to_s3, value["Rules"])
                    client.put_bucket_lifecycle_configuration(
                        **request, LifecycleConfiguration={"Rules": list(rules)}
                    )
                case "OwnershipControls":
                    client.put_bucket_ownership_controls(**request, OwnershipControls=value)
                case "PublicAccessBlockConfiguration":
                    client.put_public_access_block(**request, PublicAccessBlockConfiguration=value)
                case "VersioningConfiguration":
                    client.put_bucket_versioning(**request, VersioningConfiguration=value)

    def tag(self, resource: Resource) -> None:
        """Write the tags with those of others: PutBucketTagging replaces them all."""
        bucket = {"Bucket": resource.name}
        response = unless_absent(self.client.get_bucket_tagging, "NoSuchTagSet", **bucket)
        others = {tag["Key"]: tag["Value"] for tag in response["TagSet"]} if response else {}
        tags = {**others, **tags_of(resource.properties)}
        tag_set = [{"Key": key, "Value": value} for key, value in tags.items()]
        self.client.put_bucket_tagging(**bucket, Tagging={"TagSet": tag_set})

    def delete(self, resource: Resource) -> None:
        """Delete every version of every object, and the bucket."""
        pages = self.client.get_paginator("list_object_versions").paginate(Bucket=resource.name)
        for page in pages:
            versions = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            keys = [pick(version, {"Key", "VersionId"}) for version in versions]
            for start in range(0, len(keys), _MOST_KEYS):
                batch = keys[start : start + _MOST_KEYS]
                self.client.delete_objects(
                    Bucket=resource.name, Delete={"Objects": batch, "Quiet": True}
                )
        self.client.delete_bucket(Bucket=resource.name)

    def contents(self, resource: Resource) -> str:
        """Return the contents of a bucket, in words; empty if there are none."""
        page = self.client.list_object_versions(Bucket=resource.name)
        number = len(page.get("Versions", [])) + len(page.get("DeleteMarkers", []))
        more = "more than " if page.get("IsTruncated") else ""
        return f"{more}{number:,} versions of objects" if number else ""


class BucketPolicy(Adapter):
    """AWS::S3::BucketPolicy; whose it is follows from its bucket."""

    service = "s3"
    properties = frozenset({"Bucket", "PolicyDocument"})

    def read(self, resource: Resource) -> Mapping[str, Any] | None:
        absent = ("NoSuchBucketPolicy", "NoSuchBucket")
        response = unless_absent(self.client.get_bucket_policy, *absent, Bucket=resource.name)
        if response is None:
            return None
        return {"Bucket": resource.name, "PolicyDocument": json.loads(response["Policy"])}

    def owner(self, resource: Resource, current: Mapping[str, Any]) -> str | None:
        return self.config.name

    def create(self, resource: Resource) -> None:
        policy = json.dumps(resource.properties["PolicyDocument"])
        self.client.put_bucket_policy(Bucket=resource.name, Policy=policy)

    def change(self, resource: Resource, changed: AbstractSet[str]) -> None:
        self.create(resource)

    def delete(self, resource: Resource) -> None:
        self.client.delete_bucket_policy(Bucket=resource.name)


class Upload(Adapter):
    """Custom::S3Object: an uploaded artefact, known by its content's digest."""

    service = "s3"
    properties = frozenset({"Bucket", "Key", "Sha256"})

    def read(self, resource: Resource) -> Mapping[str, Any] | None:
        location = self._location(resource)
        absent = ("404", "NoSuchKey", "NoSuchBucket")
        response = unless_absent(self.client.head_object, *absent, **location)
        return {**location, "Sha256": response["Metadata"].get("sha256")} if response else None

    def owner(self, resource: Resource, current: Mapping[str, Any]) -> str | None:
        """Return our name: an object belongs to whoever owns the bucket."""
        return self.config.name

    def create(self, resource: Resource) -> None:
        """Upload the artefact; S3 checks the content against its digest."""
        digest = resource.properties["Sha256"]
        self.client.put_object(
            **self._location(resource),
            Body=self.deployment.bodies[resource.properties["Key"]],
            ChecksumSHA256=base64.b64encode(bytes.fromhex(digest)).decode(),
            Metadata={"sha256": digest},
        )

    def change(self, resource: Resource, changed: AbstractSet[str]) -> None:
        """Upload the artefact over the other, of which the bucket keeps a version."""
        self.create(resource)

    def delete(self, resource: Resource) -> None:
        self.client.delete_object(**self._location(resource))

    @staticmethod
    def _location(resource: Resource) -> Properties:
        return pick(resource.properties, {"Bucket", "Key"})


def _encryption_to_s3(rule: Mapping[str, Any]) -> Properties:
    return {
        "ApplyServerSideEncryptionByDefault": rule["ServerSideEncryptionByDefault"],
        "BucketKeyEnabled": rule["BucketKeyEnabled"],
    }


def _encryption_from_s3(rule: Mapping[str, Any]) -> Properties:
    return {
        "ServerSideEncryptionByDefault": rule["ApplyServerSideEncryptionByDefault"],
        "BucketKeyEnabled": rule.get("BucketKeyEnabled", False),
    }


def _lifecycle_rule_to_s3(rule: Mapping[str, Any]) -> Properties:
    """Return a rule in the words of PutBucketLifecycleConfiguration."""
    expiration = {
        "Days": rule.get("ExpirationInDays"),
        "ExpiredObjectDeleteMarker": rule.get("ExpiredObjectDeleteMarker"),
    }
    return {
        "ID": rule["Id"],
        "Filter": {"Prefix": rule["Prefix"]},
        "Expiration": pick(expiration, expiration.keys()),
        **pick(rule, _SAME_IN_S3),
    }


def _lifecycle_rule_from_s3(rule: Mapping[str, Any]) -> Properties:
    """Return a rule in CloudFormation's words; a property that S3 does not have is None."""
    expiration = rule.get("Expiration", {})
    return {
        "Id": rule["ID"],
        "Prefix": rule.get("Filter", {}).get("Prefix", rule.get("Prefix")),
        "ExpirationInDays": expiration.get("Days"),
        "ExpiredObjectDeleteMarker": expiration.get("ExpiredObjectDeleteMarker"),
        **pick(rule, _SAME_IN_S3),
    }
