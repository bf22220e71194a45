"""moto's server, as its applications answer over HTTP."""

from moto.moto_server import werkzeug_app

from localaws.moto_patches.patch import Patch


def cross_origin_headers(patch: Patch) -> None:
    """No answer permits a web page to read it; moto permits every page to do everything."""
    patch.replace(werkzeug_app, "DISABLE_GLOBAL_CORS", True)
