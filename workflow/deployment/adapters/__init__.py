"""One adapter for each type of resource, between CloudFormation's property names and boto3."""

from __future__ import annotations

from collections.abc import Mapping

from workflow.deployment.adapters.adapter import Adapter, Deployment, TakenError
from workflow.deployment.adapters.cloudwatch import Alarm, LogGroup
from workflow.deployment.adapters.compute import Function, GlueJob, Permission
from workflow.deployment.adapters.events import Rule
from workflow.deployment.adapters.iam import Role
from workflow.deployment.adapters.messaging import Queue, Topic, TopicPolicy
from workflow.deployment.adapters.personalize import Dataset, DatasetGroup, Filter, Schema
from workflow.deployment.adapters.s3 import Bucket, BucketPolicy, Upload
from workflow.deployment.adapters.sagemaker import Model
from workflow.deployment.adapters.scheduler import Schedule
from workflow.deployment.adapters.step_functions import StateMachine

__all__ = ["ADAPTERS", "Adapter", "Bucket", "Deployment", "TakenError"]

ADAPTERS: Mapping[str, type[Adapter]] = {
    "AWS::CloudWatch::Alarm": Alarm,
    "AWS::Events::Rule": Rule,
    "AWS::Glue::Job": GlueJob,
    "AWS::IAM::Role": Role,
    "AWS::Lambda::Function": Function,
    "AWS::Lambda::Permission": Permission,
    "AWS::Logs::LogGroup": LogGroup,
    "AWS::Personalize::Dataset": Dataset,
    "AWS::Personalize::DatasetGroup": DatasetGroup,
    "AWS::Personalize::Filter": Filter,
    "AWS::Personalize::Schema": Schema,
    "AWS::S3::Bucket": Bucket,
    "AWS::S3::BucketPolicy": BucketPolicy,
    "AWS::SNS::Topic": Topic,
    "AWS::SNS::TopicPolicy": TopicPolicy,
    "AWS::SQS::Queue": Queue,
    "AWS::SageMaker::Model": Model,
    "AWS::Scheduler::Schedule": Schedule,
    "AWS::StepFunctions::StateMachine": StateMachine,
    "Custom::S3Object": Upload,
}
"""CloudFormation's type → its adapter."""
