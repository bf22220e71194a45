"""moto's server: its answers over HTTP, and what it keeps in memory."""

from typing import Any

from moto.core.common_models import BaseModel
from moto.moto_server import werkzeug_app

from localaws.moto_patches.patch import Patch


def cross_origin_headers(patch: Patch) -> None:
    """No answer permits a web page to read it; moto permits every page to do everything."""
    patch.replace(werkzeug_app, "DISABLE_GLOBAL_CORS", True)


def forgotten_instances(patch: Patch) -> None:
    """Forget what is deleted: moto keeps every object that it ever made, for a page not served."""

    def new(cls: type[BaseModel], *_: Any, **__: Any) -> Any:
        return super(BaseModel, cls).__new__(cls)

    patch.replace(BaseModel, "__new__", staticmethod(new))
