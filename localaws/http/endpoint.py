"""One port on 127.0.0.1 for all of AWS: our own services where they are mounted, moto elsewhere.

A request's service is read from its SigV4 credential scope, as AWS signs it. Mounted services go
to their own WSGI applications; services that moto only pretends to run are refused by name as
long as nothing is mounted; everything else (S3, IAM, SNS, Step Functions, EventBridge, …) is
moto's. Nothing leaves the machine.
"""

import io
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Self, TypeVar
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import boto3
import flask
from botocore.config import Config
from moto.core.base_backend import BackendDict
from moto.core.config import default_user_config
from moto.core.model_instances import reset_model_data
from moto.iam.models import iam_backends
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from moto.utilities.utils import get_partition
from werkzeug.exceptions import HTTPException
from werkzeug.serving import ThreadedWSGIServer

from localaws.errors import LocalAwsError, is_disk_full
from localaws.http.bodies import CONNECTION, WholeBodies
from localaws.http.browsers import BrowserGuard
from localaws.http.calls import call_of, signature_of
from localaws.http.errors import error_to, failure
from localaws.http.refusals import refusal
from localaws.http.service_names import new_session
from localaws.http.wsgi import ConnectionDropped, Response, answer_in_process
from localaws.moto_patches import determinism, repairs, stepfunctions_parser_backends
from localaws.principals import CALLER, access_key

Wrapped = TypeVar("Wrapped", bound=WSGIApplication)

OWN_SERVICES = frozenset({"personalize", "glue", "lambda", "sagemaker"})
"""Services that moto knows but does not run: it answers with canned states or needs docker."""

_MOTO_PAGES = frozenset({"moto_api", "instance_metadata"})
"""What moto serves besides AWS, at paths that are AWS's for a bucket of that name."""

_log = logging.getLogger(__name__)
_one_at_a_time = threading.Lock()
_silent = logging.NullHandler()


class EndpointError(LocalAwsError):
    """The endpoint cannot be started or used."""


class Endpoint:
    """One port on 127.0.0.1 for all of AWS, and a WSGI application.

    While it runs, the process's own environment points at it, so that handlers which make their
    own boto3 clients reach it; `stop` puts the environment back. moto's state is global: one
    endpoint per process at a time.

    Args:
        account: Account number in every ARN, e.g. '123456789012'.
        region: Region in every ARN, e.g. 'ap-northeast-1'.
        time_scale: Factor on Wait states and Retry intervals; 0.0 does not wait.
        port: The port's number; 0 takes a free one; None opens one when its URL is first read,
            and leaves the process's environment as it is.
        knows_aws_policies: Let IAM know AWS's own policies (`arn:aws:iam::aws:policy/…`); reading
            them takes half a second, at the start or, without a port, at the first call of IAM.
        allowed_origin: The origin of web pages that may send requests to the port, e.g.
            'http://localhost:3000'; empty for none.
    """

    repairs: repairs.Repairs

    def __init__(
        self,
        *,
        account: str,
        region: str,
        time_scale: float = 0.0,
        port: int | None = 0,
        knows_aws_policies: bool = False,
        allowed_origin: str = "",
    ) -> None:
        self._account = account
        self._region = region
        self._time_scale = time_scale
        self._port = port or 0
        self._is_lazy = port is None
        self._knows_aws_policies = knows_aws_policies
        self._allowed_origin = allowed_origin
        self._mounted: dict[str, WSGIApplication] = {}
        self._moto: WSGIApplication = DomainDispatcherApplication(_backend_app)
        self._front: WSGIApplication = self._dispatch
        self._cleanup = ExitStack()
        self._has_begun = False
        self._opening = threading.RLock()
        self._server: ThreadedWSGIServer | None = None
        self._clients: dict[tuple[str, str], Any] = {}
        self._session: Any = None
        self._clients_lock = threading.Lock()

    def mount(self, service: str, application: WSGIApplication) -> None:
        """Send the requests that are signed for a service to a thread-safe application.

        'personalize' covers its runtime and events APIs too.
        """
        self._mounted[service] = application

    def wrap(self, wrapper: Callable[[WSGIApplication], Wrapped]) -> Wrapped:
        """Put an application between the endpoint and all services that are not mounted.

        The wrapper makes it from the application behind it: moto, or what wraps moto already.
        """
        self._moto = wrapped = wrapper(self._moto)
        return wrapped

    def wrap_all(self, wrapper: Callable[[WSGIApplication], Wrapped]) -> Wrapped:
        """Put an application in front of everything, as `wrap` does in front of moto."""
        self._front = wrapped = wrapper(self._front)
        return wrapped

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`.

        Raises:
            EndpointError: If the endpoint does not run.
        """
        with self._opening:
            if self._server is None and self._is_lazy and self._has_begun:
                self.open()
            if self._server is None:
                raise EndpointError("the endpoint has no URL before start() and after stop()")
            return f"http://127.0.0.1:{self._server.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which all AWS calls of a subprocess come here."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": CALLER,
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": self._region,
            "AWS_REGION": self._region,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            # boto3 would look for `sync-127.0.0.1`, StartSyncExecution's own host.
            "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
            # botocore would send even loopback requests to a proxy.
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }

    def client(self, service: str, role: str = "") -> Any:
        """Return a boto3 client of this endpoint, thread-safe; the same one every time.

        The ARN of a role lets that role sign; else `CALLER` does. What a service of AWS calls by a
        role it repeats after a fault, as boto3's clients do by default; `CALLER` repeats nothing.
        """
        key = (service, access_key(role))
        with self._clients_lock:
            if key not in self._clients:
                self._session = self._session or boto3.Session(botocore_session=new_session())
                client = self._session.client(
                    service,
                    region_name=self._region,
                    endpoint_url="http://127.0.0.1" if self._is_lazy else self.url,
                    aws_access_key_id=access_key(role),
                    aws_secret_access_key="local",  # noqa: S106  nothing checks it
                    config=Config(
                        retries={"mode": "standard", "total_max_attempts": 3 if role else 1},
                        max_pool_connections=40,
                    ),
                )
                if self._is_lazy:
                    answer_in_process(client.meta.events, self)
                self._clients[key] = client
            return self._clients[key]

    def start(self) -> None:
        """Repair the interpreter, open the port, point the process's environment here.

        Raises:
            EndpointError: If an endpoint runs in this process already, or the port is in use.
            InterpreterError: If moto's version is not the one that is repaired here.
            ValueError: If the time scale is negative.
        """
        self.begin()
        try:
            if not self._is_lazy:
                self.open()
        except BaseException:
            self.stop()
            raise

    def begin(self) -> None:
        """Begin to answer in this process; `start` does it, and raises the same errors."""
        if not _one_at_a_time.acquire(blocking=False):
            raise EndpointError(
                "an endpoint runs in this process already and moto's state is global: "
                "stop() that one first, or start the second in its own process"
            )
        with ExitStack() as cleanup:
            cleanup.callback(_one_at_a_time.release)
            self.repairs = repairs.install(self._time_scale)
            cleanup.callback(self.repairs.undo)
            cleanup.callback(determinism.install().undo)
            # Unless the program set up logging, Python prints moto's account of each failed
            # execution.
            logging.getLogger("moto").addHandler(_silent)
            cleanup.callback(logging.getLogger("moto").removeHandler, _silent)
            cleanup.callback(reset_model_data)
            # After the settings are put back: moto's IAM is made anew, without AWS's policies.
            cleanup.callback(BackendDict.reset)
            cleanup.callback(default_user_config.update, dict(default_user_config))
            cleanup.callback(default_user_config.clear)
            default_user_config["stepfunctions"] = {"execute_state_machine": True}
            default_user_config["iam"] = {"load_aws_managed_policies": self._knows_aws_policies}
            if self._knows_aws_policies and not self._is_lazy:
                # Now, for ids are drawn: not in the midst of requests that a restart repeats.
                _ = iam_backends[self._account][get_partition(self._region)]
            self._cleanup = cleanup.pop_all()
        self._has_begun = True

    def open(self) -> None:
        """Open the port of an endpoint that answers already; `start` does it.

        Raises:
            EndpointError: If the port is in use, or this user may not open it.
        """
        with socket.socket() as bound:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                bound.bind(("127.0.0.1", self._port))
                bound.listen(128)
            except OSError as error:
                raise EndpointError(
                    f"port {self._port} of 127.0.0.1: {error.strerror}; stop what listens there,"
                    " or name another port"
                ) from None
            self._server = ThreadedWSGIServer(
                "127.0.0.1",
                self._port,
                _Guarded(BrowserGuard(WholeBodies(self), self._allowed_origin)),
                handler=_QuietHandler,
                fd=bound.fileno(),
            )
        # moto's interpreter sends the requests of its tasks to this port.
        variables: dict[str, str | None] = {"MOTO_PORT": str(self._server.port)}
        if not self._is_lazy:
            # Profiles and URLs of single services would lead elsewhere.
            variables |= dict.fromkeys(name for name in os.environ if name.startswith("AWS_"))
            variables |= self.environment
        self._cleanup.enter_context(_environment(variables))
        serving = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        serving.start()
        self._cleanup.callback(serving.join)  # its last act is to close the port
        self._cleanup.callback(self._server.shutdown)

    def stop(self) -> None:
        """Abort running executions, close the port, forget all of moto's state, undo `start`."""
        if not self._has_begun:
            return
        self.abort_executions()
        for client in self._clients.values():
            client.close()
        self._clients.clear()
        self._session = None
        self._cleanup.close()
        self._server = None
        self._has_begun = False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def abort_executions(self) -> None:
        """Stop what runs, and wait a moment: a `.sync` task stops its Glue job before it ends."""
        machines = stepfunctions_parser_backends[self._account][self._region].state_machines
        running = [e for machine in machines for e in machine.executions if e.status == "RUNNING"]
        for execution in running:
            repairs.stop_execution(execution, cause="the local endpoint was stopped")
        deadline = time.monotonic() + 5
        while not all(map(repairs.has_finished, running)) and time.monotonic() < deadline:
            time.sleep(0.02)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        return _Guarded(self._front)(environ, start_response)

    def _dispatch(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Pass a request to the service that it is signed for."""
        signature = signature_of(environ)
        service = signature.service
        if application := self._mounted.get(service):
            if signature.region != self._region:
                # As AWS's endpoints do: its ARNs would be none of this region.
                message = (
                    f"Credential should be scoped to a valid region: this local AWS is in"
                    f" {self._region}, the request is signed for {signature.region}. Start one in"
                    f" {signature.region}, or set the client's region to {self._region}"
                )
                application = error_to(environ, "InvalidSignatureException", message, status=403)
            return application(environ, start_response)
        if service in OWN_SERVICES:
            message = (
                f"no {service!r} runs behind this endpoint: mount({service!r}, application) one"
            )
            refused = error_to(environ, "NotImplementedException", message, status=501)
            return refused(environ, start_response)
        environ["HTTP_X_MOTO_ACCOUNT_ID"] = self._account
        operation = environ.get("HTTP_X_AMZ_TARGET", "")
        if self._is_lazy and operation.endswith(("Execution", ".PutEvents")):
            _ = self.url  # an execution and a rule's target make calls of their own, over the port
        return self._moto(environ, start_response)


class _Guarded:
    """An application whose failures are AWS's errors too, never a page or a traceback."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        try:
            return self._application(environ, start_response)
        except ConnectionDropped:
            raise
        except Exception as error:
            if refused := refusal(environ, error):
                return error_to(environ, refused.code, refused.message)(environ, start_response)
            _log.warning("%s failed", environ.get("PATH_INFO"), exc_info=error)
            failed = failure(error, "this request")
            return error_to(environ, failed.code, failed.message)(environ, start_response)


def _backend_app(service: str | None) -> WSGIApplication:
    """Return moto's application for a service, which refuses by name what it does not serve.

    moto answers those operations, and requests at which it fails, by a page with the status 500,
    which boto3 takes for an outage and repeats.
    """
    if service is None:  # moto has nothing of that name
        return _unknown_service
    if service in _MOTO_PAGES:
        return _backend_app("s3")
    try:
        application = create_backend_app(service)
    except ImportError as error:
        return _unserved(f"the local AWS does not serve {service}: {error}")

    @application.errorhandler(NotImplementedError)  # type: ignore[untyped-decorator]
    def refuse(error: NotImplementedError) -> Response:
        environ, name = _request_again()
        message = f"the local AWS does not serve {name}" if name else str(error)
        return error_to(environ, "UnknownOperationException", message)

    @application.errorhandler(Exception)  # type: ignore[untyped-decorator]
    def fail(error: Exception) -> Response | Exception:
        environ, name = _request_again()
        if isinstance(error, HTTPException):
            if not type(error).__module__.startswith("werkzeug."):
                return error  # moto's own are AWS's
            code = "MethodNotAllowed" if error.code == 405 else "UnknownOperationException"
            return error_to(environ, code, error.description or str(error), status=error.code)
        if not is_disk_full(error) and (refused := refusal(environ, error)):
            return error_to(environ, refused.code, refused.message)
        _log.warning("%s failed", name, exc_info=error)
        failed = failure(error, f"this {name or 'request'}")
        status = 500 if is_disk_full(error) else 400
        return error_to(environ, failed.code, failed.message, status=status)

    served: WSGIApplication = application
    return served


def _request_again() -> tuple[WSGIEnvironment, str]:
    """Return the request that moto has read from the connection, and its operation."""
    body = flask.request.get_data()
    environ = {
        **flask.request.environ,
        "wsgi.input": io.BytesIO(body),
        "CONTENT_LENGTH": str(len(body)),
    }
    return environ, call_of(environ).operation or flask.request.values.get("Action", "")


def _unknown_service(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    message = f"the local AWS does not serve {signature_of(environ).service}"
    return error_to(environ, "UnknownOperationException", message)(environ, start_response)


def _unserved(message: str) -> WSGIApplication:
    def refuse(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return error_to(environ, "UnknownOperationException", message)(environ, start_response)

    return refuse


class _QuietHandler(MotoRequestHandler):  # type: ignore[misc]
    """moto's handler without a log line for each request, and with the connection as it is."""

    timeout = 60  # seconds in which nothing is sent or read

    def make_environ(self) -> dict[str, Any]:
        """Return a request as WSGI has it."""
        environ: dict[str, Any] = super().make_environ()
        environ[CONNECTION] = self.rfile
        return environ

    def connection_dropped(self, *_: Any) -> None:
        """Close the connection, on which no response was sent."""
        self.close_connection = True

    def log_request(self, *_: Any) -> None:
        """Write no line."""


@contextmanager
def _environment(variables: Mapping[str, str | None]) -> Iterator[None]:
    """Set variables of this process for the time of a block, and unset those that are None."""
    before = {name: os.environ.pop(name, None) for name in variables}
    os.environ.update({name: value for name, value in variables.items() if value is not None})
    try:
        yield
    finally:
        for name in variables:
            os.environ.pop(name, None)
        os.environ.update({name: value for name, value in before.items() if value is not None})
