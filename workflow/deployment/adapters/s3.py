"""The bucket of every run, its policy, and what is uploaded into it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from botocore.exceptions import ClientError

from workflow.deployment.adapters.adapter import (
    Adapter,
    Properties,
    TakenError,
    found,
    tag_list,
    touched,
)
from workflow.deployment.differences import Difference

if TYPE_CHECKING:
    from workflow.deployment.resources import Resource

_MOST_KEYS = 1_000  # of one DeleteObjects request


class Bucket(Adapter):
    """AWS::S3::Bucket."""

    service = "s3"
    properties = frozenset(
        {
            "BucketName",
            "BucketEncryption",
            "LifecycleConfiguration",
            "OwnershipControls",
            "PublicAccessBlockConfiguration",
            "Tags",
            "VersioningConfiguration",
        }
    )
    irreplaceable = "a bucket is never deleted by a deployment"
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
        """Return what is on AWS."""
        name, client = resource.name, self.client
        if not self._is_there(name):
            return None

        def part(call: Any, absent: str, member: str) -> Any:
            return (found(call, absent, Bucket=name) or {}).get(member)

        encryption = part(
            client.get_bucket_encryption,
            "ServerSideEncryptionConfigurationNotFoundError",
            "ServerSideEncryptionConfiguration",
        )
        rules = part(
            client.get_bucket_lifecycle_configuration, "NoSuchLifecycleConfiguration", "Rules"
        )
        ownership = part(
            client.get_bucket_ownership_controls,
            "OwnershipControlsNotFoundError",
            "OwnershipControls",
        )
        status = client.get_bucket_versioning(Bucket=name).get("Status")
        was: Properties = {
            "BucketName": name,
            "PublicAccessBlockConfiguration": part(
                client.get_public_access_block,
                "NoSuchPublicAccessBlockConfiguration",
                "PublicAccessBlockConfiguration",
            ),
            "Tags": part(client.get_bucket_tagging, "NoSuchTagSet", "TagSet"),
        }
        if status:
            was["VersioningConfiguration"] = {"Status": status}
        if encryption:
            was["BucketEncryption"] = {
                "ServerSideEncryptionConfiguration": [
                    _encryption_from_s3(rule) for rule in encryption["Rules"]
                ]
            }
        if ownership:
            was["OwnershipControls"] = ownership
        if rules:
            was["LifecycleConfiguration"] = {"Rules": [_rule_from_s3(rule) for rule in rules]}
        return was

    def _is_there(self, name: str) -> bool:
        aws = self.site.config.aws
        try:
            answer = self.client.head_bucket(Bucket=name, ExpectedBucketOwner=aws.account)
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            headers = error.response["ResponseMetadata"].get("HTTPHeaders", {})
            if status == 404:
                return False
            if status == 403:
                raise TakenError(
                    f"bucket '{name}' is another account's, or s3:ListBucket on it is denied:"
                    " give another name in [aws] bucket, or ask for that permission"
                ) from error
            if status == 301:
                region = headers.get("x-amz-bucket-region", "another region")
                raise TakenError(_elsewhere(name, region, aws.region)) from error
            raise
        region = answer.get("BucketRegion", aws.region)
        if region != aws.region:
            raise TakenError(_elsewhere(name, region, aws.region))
        return True

    def create(self, resource: Resource) -> None:
        """Make the bucket; a fresh one of ours that another deployment made is taken as it is."""
        region = self.site.config.aws.region
        # us-east-1 is the one region that CreateBucket does not want to be told.
        where = {"CreateBucketConfiguration": {"LocationConstraint": region}}
        asked = {} if region == "us-east-1" else where
        try:
            found(
                self.client.create_bucket, "BucketAlreadyOwnedByYou", Bucket=resource.name, **asked
            )
        except self.client.exceptions.BucketAlreadyExists as error:
            raise TakenError(
                f"bucket '{resource.name}' is another account's: names of buckets are taken for all"
                " of AWS. Give another one in [aws] bucket"
            ) from error
        # The tag first: whatever fails after it, the bucket is known to be ours.
        self._put(resource, {"Tags"})
        self._put(resource, resource.properties.keys() - {"Tags", "BucketName"})

    def update(self, resource: Resource, changes: Sequence[Difference]) -> None:
        """Change what differs, property by property."""
        self._put(resource, touched(changes))

    def _put(self, resource: Resource, names: Any) -> None:
        properties, bucket, client = resource.properties, {"Bucket": resource.name}, self.client
        for name in sorted(names):
            value = properties.get(name) or self.defaults.get(name)
            match name:
                case "Tags":
                    there = found(client.get_bucket_tagging, "NoSuchTagSet", **bucket) or {}
                    kept = {tag["Key"]: tag["Value"] for tag in there.get("TagSet", [])}
                    tags = kept | {tag["Key"]: tag["Value"] for tag in tag_list(properties)}
                    listed = [{"Key": key, "Value": text} for key, text in tags.items()]
                    client.put_bucket_tagging(**bucket, Tagging={"TagSet": listed})
                case "VersioningConfiguration":
                    wanted = value or {"Status": "Suspended"}
                    client.put_bucket_versioning(**bucket, VersioningConfiguration=wanted)
                case "BucketEncryption":
                    rules = [
                        _encryption_to_s3(rule)
                        for rule in (value or {})["ServerSideEncryptionConfiguration"]
                    ]
                    client.put_bucket_encryption(
                        **bucket, ServerSideEncryptionConfiguration={"Rules": rules}
                    )
                case "PublicAccessBlockConfiguration" if value:
                    client.put_public_access_block(**bucket, PublicAccessBlockConfiguration=value)
                case "PublicAccessBlockConfiguration":
                    client.delete_public_access_block(**bucket)
                case "OwnershipControls":
                    client.put_bucket_ownership_controls(**bucket, OwnershipControls=value)
                case "LifecycleConfiguration" if value:
                    client.put_bucket_lifecycle_configuration(
                        **bucket,
                        LifecycleConfiguration={"Rules": [_rule_to_s3(r) for r in value["Rules"]]},
                    )
                case "LifecycleConfiguration":
                    client.delete_bucket_lifecycle(**bucket)

    def delete(self, resource: Resource) -> None:
        """Delete every version of every object, and the bucket."""
        pages = self.client.get_paginator("list_object_versions").paginate(Bucket=resource.name)
        for page in pages:
            there = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            keys = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in there]
            for start in range(0, len(keys), _MOST_KEYS):
                batch = keys[start : start + _MOST_KEYS]
                self.client.delete_objects(
                    Bucket=resource.name, Delete={"Objects": batch, "Quiet": True}
                )
        self.client.delete_bucket(Bucket=resource.name)

    def holds(self, resource: Resource) -> str:
        """Return what a bucket holds, in words; empty if it holds nothing at all."""
        page = self.client.list_object_versions(Bucket=resource.name)
        number = len(page.get("Versions", [])) + len(page.get("DeleteMarkers", []))
        more = "more than " if page.get("IsTruncated") else ""
        return f"{more}{number:,} versions of objects" if number else ""


class BucketPolicy(Adapter):
    """AWS::S3::BucketPolicy; whose it is follows from its bucket."""

    service = "s3"
    properties = frozenset({"Bucket", "PolicyDocument"})
    replaced_by = frozenset({"Bucket"})

    def read(self, resource: Resource) -> Mapping[str, Any] | None:
        """Return what is on AWS."""
        bucket = resource.properties["Bucket"]
        absent = ("NoSuchBucketPolicy", "NoSuchBucket")
        answer = found(self.client.get_bucket_policy, *absent, Bucket=bucket)
        return (
            {"Bucket": bucket, "PolicyDocument": json.loads(answer["Policy"])} if answer else None
        )

    def owner(self, resource: Resource, was: Mapping[str, Any]) -> str | None:
        """The policy is the bucket owner's."""
        return self.site.config.name

    def create(self, resource: Resource) -> None:
        """Put the policy."""
        policy = json.dumps(resource.properties["PolicyDocument"])
        self.client.put_bucket_policy(Bucket=resource.properties["Bucket"], Policy=policy)

    def update(self, resource: Resource, changes: Sequence[Difference]) -> None:
        """Put the policy in place of the other."""
        self.create(resource)

    def delete(self, resource: Resource) -> None:
        """Delete the policy."""
        self.client.delete_bucket_policy(Bucket=resource.properties["Bucket"])


class Upload(Adapter):
    """Custom::S3Object: an uploaded artefact, known by its content's digest."""

    service = "s3"
    properties = frozenset({"Bucket", "Key", "Sha256"})

    def read(self, resource: Resource) -> Mapping[str, Any] | None:
        """Return what is on AWS."""
        place = self._place(resource)
        answer = found(self.client.head_object, "404", "NoSuchKey", "NoSuchBucket", **place)
        return {**place, "Sha256": answer["Metadata"].get("sha256")} if answer else None

    def owner(self, resource: Resource, was: Mapping[str, Any]) -> str | None:
        """An object is the bucket owner's."""
        return self.site.config.name

    def create(self, resource: Resource) -> None:
        """Upload the artefact; S3 checks what arrives against its digest."""
        digest = resource.properties["Sha256"]
        self.client.put_object(
            **self._place(resource),
            Body=self.site.bodies[resource.properties["Key"]],
            ChecksumSHA256=base64.b64encode(bytes.fromhex(digest)).decode(),
            Metadata={"sha256": digest},
        )

    def update(self, resource: Resource, changes: Sequence[Difference]) -> None:
        """Upload the artefact over the other, of which the bucket keeps a version."""
        self.create(resource)

    def delete(self, resource: Resource) -> None:
        """Delete the object."""
        self.client.delete_object(**self._place(resource))

    @staticmethod
    def _place(resource: Resource) -> Properties:
        return {name: resource.properties[name] for name in ("Bucket", "Key")}


def _elsewhere(name: str, region: str, wanted: str) -> str:
    return (
        f"bucket '{name}' is in {region}, but [aws] region is {wanted}: mend the region, or give"
        " another name in [aws] bucket"
    )


def _encryption_to_s3(rule: Mapping[str, Any]) -> Properties:
    chosen = {"ApplyServerSideEncryptionByDefault": rule["ServerSideEncryptionByDefault"]}
    key = {"BucketKeyEnabled": True} if rule.get("BucketKeyEnabled") else {}
    return {**chosen, **key}


def _encryption_from_s3(rule: Mapping[str, Any]) -> Properties:
    chosen = {"ServerSideEncryptionByDefault": rule["ApplyServerSideEncryptionByDefault"]}
    key = {"BucketKeyEnabled": True} if rule.get("BucketKeyEnabled") else {}
    return {**chosen, **key}


def _rule_to_s3(rule: Mapping[str, Any]) -> Properties:
    """A life cycle rule: the same things under other names."""
    given: Properties = {
        "ID": rule["Id"],
        "Status": rule["Status"],
        "Filter": {"Prefix": rule.get("Prefix", "")},
    }
    expiration: Properties = {}
    if "ExpirationInDays" in rule:
        expiration["Days"] = rule["ExpirationInDays"]
    if rule.get("ExpiredObjectDeleteMarker"):
        expiration["ExpiredObjectDeleteMarker"] = True
    if expiration:
        given["Expiration"] = expiration
    for name in ("NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload"):
        if name in rule:
            given[name] = rule[name]
    return given


def _rule_from_s3(rule: Mapping[str, Any]) -> Properties:
    given: Properties = {"Id": rule["ID"], "Status": rule["Status"]}
    prefix = rule.get("Filter", {}).get("Prefix", rule.get("Prefix", ""))
    if prefix:
        given["Prefix"] = prefix
    expiration = rule.get("Expiration", {})
    if "Days" in expiration:
        given["ExpirationInDays"] = expiration["Days"]
    if expiration.get("ExpiredObjectDeleteMarker"):
        given["ExpiredObjectDeleteMarker"] = True
    for name in ("NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload"):
        if name in rule:
            given[name] = rule[name]
    return given
