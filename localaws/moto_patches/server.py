"""moto's server: how its applications answer over HTTP, and what it keeps in memory."""

from typing import Any

from moto.core.common_models import BaseModel
from moto.moto_server import werkzeug_app
from moto.s3.models import FakeKey

from localaws.moto_patches.patch import Patch


def cross_origin_headers(patch: Patch) -> None:
    """No answer permits a web page to read it; moto permits every page to do everything."""
    patch.replace(werkzeug_app, "DISABLE_GLOBAL_CORS", True)


def forgotten_models(patch: Patch) -> None:
    """Forget what is deleted or replaced: moto keeps all that there ever was, for its own pages.

    That is the bytes of every version of an object, every log event and every message.
    """

    def new(cls: Any, *_: Any, **__: Any) -> Any:
        return object.__new__(cls)

    def close(self: Any) -> None:  # moto warns that it was not closed before
        if buffer := vars(self).get("_value_buffer"):
            buffer.close()

    patch.replace(BaseModel, "__new__", staticmethod(new))
    patch.replace(FakeKey, "__del__", close)
