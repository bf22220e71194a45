"""Names of services, against AWS's documentation and botocore's own models."""

import botocore.session
import pytest
from botocore.exceptions import UnknownServiceError

from localaws.http.service_names import (
    sdk_error_prefix,
    service_model,
    service_of_sdk_name,
    services_signed_as,
)


@pytest.mark.parametrize(
    ("sdk_name", "service", "prefix"),
    [
        ("cloudwatchlogs", "logs", "CloudWatchLogs"),
        ("cognitoidentityprovider", "cognito-idp", "CognitoIdentityProvider"),
        ("config", "config", "Config"),
        ("databasemigration", "dms", "DatabaseMigration"),
        ("directory", "ds", "Directory"),
        ("directoryservicedata", "ds-data", "DirectoryServiceData"),
        ("dynamodb", "dynamodb", "DynamoDb"),
        ("ec2", "ec2", "Ec2"),
        ("elasticloadbalancingv2", "elbv2", "ElasticLoadBalancingV2"),
        ("eventbridge", "events", "EventBridge"),
        ("iam", "iam", "Iam"),
        ("iotjobsdataplane", "iot-jobs-data", "IotJobsDataPlane"),
        ("iotthingsgraph", "iotthingsgraph", "IoTThingsGraph"),
        ("kinesisvideowebrtcstorage", "kinesis-video-webrtc-storage", "KinesisVideoWebRtcStorage"),
        ("lexmodelbuilding", "lex-models", "LexModelBuilding"),
        ("personalizeruntime", "personalize-runtime", "PersonalizeRuntime"),
        ("s3control", "s3control", "S3Control"),
        ("sagemakera2iruntime", "sagemaker-a2i-runtime", "SageMakerA2IRuntime"),
        ("sesv2", "sesv2", "SesV2"),
        ("sfn", "stepfunctions", "Sfn"),
        ("wafv2", "wafv2", "Wafv2"),
        ("xray", "xray", "XRay"),
    ],
)
def test_sdk_integrations_are_named_as_documented(sdk_name: str, service: str, prefix: str) -> None:
    """Names in ARNs and in errors.

    https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html
    """
    assert service_of_sdk_name(sdk_name) == service
    assert sdk_error_prefix(service) == prefix


def test_a_name_of_no_service_is_refused() -> None:
    with pytest.raises(UnknownServiceError, match="'snss'"):
        service_of_sdk_name("snss")
    with pytest.raises(UnknownServiceError):
        service_model("snss")
    assert services_signed_as("snss") == ()


def test_services_are_found_by_the_name_that_they_are_signed_for() -> None:
    assert services_signed_as("states") == ("stepfunctions",)
    assert services_signed_as("monitoring") == ("cloudwatch",)
    assert services_signed_as("personalize") == (
        "personalize",
        "personalize-events",
        "personalize-runtime",
    )
    session = botocore.session.Session()
    for service in ("cognito-idp", "events", "lambda", "s3", "scheduler", "sesv2", "sns"):
        signing_name = session.get_service_model(service).signing_name
        assert service in services_signed_as(signing_name)
