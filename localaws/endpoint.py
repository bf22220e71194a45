"""One port on 127.0.0.1 for all of AWS: our own services where they are mounted, moto elsewhere.

A request's service is read from its SigV4 credential scope, as AWS signs it. Mounted services go
to their own WSGI applications; services that moto only pretends to run are refused by name as
long as nothing is mounted; everything else (S3, IAM, SNS, Step Functions, EventBridge, …) is
moto's. Nothing leaves the machine.
"""

import json
import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import boto3
from botocore.config import Config
from moto.core.base_backend import BackendDict
from moto.core.config import default_user_config
from moto.core.model_instances import reset_model_data
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from moto.stepfunctions.parser.models import stepfunctions_parser_backends
from werkzeug.serving import ThreadedWSGIServer

from localaws import interpreter
from localaws.calls import Call, call_of, signature_of
from localaws.errors import LocalAwsError
from localaws.principals import CALLER, access_key

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

OWN_SERVICES = frozenset({"personalize", "glue", "lambda"})
"""Services that moto knows but does not run: it answers with canned states or needs docker."""

_one_at_a_time = threading.Lock()
_silent = logging.NullHandler()


class EndpointError(LocalAwsError):
    """The endpoint cannot be started or used."""


class Endpoint:
    """One port on 127.0.0.1 for all of AWS.

    While it runs, the process's own environment points at it, so that handlers which make their
    own boto3 clients reach it; `stop` puts the environment back. moto's state is global: one
    endpoint per process at a time.

    Args:
        account: Account number in every ARN, e.g. '123456789012'.
        region: Region in every ARN, e.g. 'ap-northeast-1'.
        time_scale: Factor on Wait states and Retry intervals; 0.0 does not wait.
    """

    repairs: interpreter.Repairs

    def __init__(self, *, account: str, region: str, time_scale: float = 0.0) -> None:
        self._account = account
        self._region = region
        self._time_scale = time_scale
        self._mounted: dict[str, WSGIApplication] = {}
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server: ThreadedWSGIServer | None = None
        self._recordings: list[list[Call]] = []
        self._clients: dict[tuple[str, str], Any] = {}
        self._clients_lock = threading.Lock()
        self._environment_before: dict[str, str] = {}
        self._moto_config_before: dict[str, Any] = {}

    def mount(self, service: str, application: "WSGIApplication") -> None:
        """Send a service's requests to `application`.

        Args:
            service: The name under which requests are signed, e.g. 'personalize' (which covers
                its runtime and events APIs too), 'glue', 'lambda'.
            application: A thread-safe WSGI application.
        """
        self._mounted[service] = application

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`.

        Raises:
            EndpointError: If the endpoint does not run.
        """
        if self._server is None:
            raise EndpointError("the endpoint has no URL before start() and after stop()")
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a subprocess needs in its environment so that all its AWS calls come here."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": CALLER,
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": self._region,
            "AWS_REGION": self._region,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            # botocore would send even loopback requests to a proxy.
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }

    def client(self, service: str, role: str = "") -> Any:
        """A boto3 client of this endpoint, thread-safe; the same one every time.

        Args:
            service: boto3's name of it, e.g. 's3'.
            role: The ARN of the role that signs; whoever deploys and looks, if left out.
        """
        key = (service, access_key(role))
        with self._clients_lock:
            if key not in self._clients:
                session: Any = boto3.Session()
                self._clients[key] = session.client(
                    service,
                    region_name=self._region,
                    endpoint_url=self.url,
                    aws_access_key_id=access_key(role),
                    aws_secret_access_key="local",  # noqa: S106  nothing checks it
                    config=Config(retries={"total_max_attempts": 1}, max_pool_connections=40),
                )
            return self._clients[key]

    @contextmanager
    def recorded(self) -> Iterator[list[Call]]:
        """Record every call that arrives, with who made it, as long as the context lasts."""
        calls: list[Call] = []
        self._recordings.append(calls)
        try:
            yield calls
        finally:
            self._recordings.remove(calls)

    def start(self) -> None:
        """Open the port, repair the interpreter, point the process's environment here.

        Raises:
            EndpointError: If an endpoint runs in this process already.
            InterpreterError: If moto's version is not the one that is repaired here.
            ValueError: If the time scale is negative.
        """
        if not _one_at_a_time.acquire(blocking=False):
            raise EndpointError(
                "an endpoint runs in this process already and moto's state is global: "
                "stop() that one first, or start the second in its own process"
            )
        try:
            self._server = ThreadedWSGIServer("127.0.0.1", 0, self._serve, handler=_QuietHandler)
            self.repairs = interpreter.install(self._time_scale)
        except Exception:
            if self._server is not None:
                self._server.server_close()
                self._server = None
            _one_at_a_time.release()
            raise
        # Unless the program set up logging, Python prints moto's account of each failed execution.
        logging.getLogger("moto").addHandler(_silent)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self._moto_config_before = dict(default_user_config)
        default_user_config["stepfunctions"] = {"execute_state_machine": True}
        self._enter_environment()

    def stop(self) -> None:
        """Abort running executions, close the port, forget all of moto's state, undo `start`."""
        if self._server is None:
            return
        self._abort_executions()
        self._server.shutdown()
        self._server.server_close()
        for client in self._clients.values():
            client.close()
        self._clients.clear()
        BackendDict.reset()
        reset_model_data()
        default_user_config.clear()
        default_user_config.update(self._moto_config_before)
        self.repairs.undo()
        os.environ.clear()
        os.environ.update(self._environment_before)
        self._server = None
        logging.getLogger("moto").removeHandler(_silent)
        _one_at_a_time.release()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _enter_environment(self) -> None:
        """Replace every AWS setting of the process, among them profiles and per-service URLs."""
        self._environment_before = dict(os.environ)
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            del os.environ[name]
        os.environ.update(self.environment)
        # Where moto's interpreter sends the requests of its tasks.
        os.environ["MOTO_PORT"] = self.url.rpartition(":")[2]

    def _abort_executions(self) -> None:
        """Stop what runs, and give it a moment: a `.sync` task stops its Glue job on the way."""
        machines = stepfunctions_parser_backends[self._account][self._region].state_machines
        running = [e for machine in machines for e in machine.executions if e.status == "RUNNING"]
        for execution in running:
            interpreter.stop_execution(execution, cause="the local endpoint was stopped")
        deadline = time.monotonic() + 5
        while any(e.status == "RUNNING" for e in running) and time.monotonic() < deadline:
            time.sleep(0.02)

    def _serve(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Dispatch one request by the service it is signed for."""
        service = signature_of(environ).service
        for calls in tuple(self._recordings):
            calls.append(call_of(environ))
        if application := self._mounted.get(service):
            return application(environ, start_response)
        if service in OWN_SERVICES:
            return _not_mounted(service, start_response)
        environ["HTTP_X_MOTO_ACCOUNT_ID"] = self._account
        answer: Iterable[bytes] = self._moto(environ, start_response)
        return answer


def _not_mounted(service: str, start_response: "StartResponse") -> Iterable[bytes]:
    message = f"no {service!r} runs behind this endpoint: mount({service!r}, application) one"
    body = json.dumps({"__type": "NotImplementedException", "message": message}).encode()
    headers = [
        ("Content-Type", "application/x-amz-json-1.1"),
        ("Content-Length", str(len(body))),
        ("x-amzn-errortype", "NotImplementedException"),
    ]
    start_response("501 Not Implemented", headers)
    return [body]


class _QuietHandler(MotoRequestHandler):  # type: ignore[misc]
    """moto's handler without a log line for each request."""

    def log_request(self, *_: Any) -> None:
        """Nothing."""
