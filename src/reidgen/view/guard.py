"""Who may ask the page for anything: this machine's browser, with the token, from the page itself."""

import hmac
from typing import Any

from flask import Flask, Response, abort, make_response, redirect, request
from werkzeug.exceptions import HTTPException, SecurityError

from reidgen.errors import ReidgenError, RunError, on_command_line
from reidgen.view.journal import ConflictError

HOSTS = ["127.0.0.1", "localhost"]
MARK = "X-Reidgen"  # a header that a page of another origin cannot send without asking first
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
UPLOAD_BYTES = 2**25
CHANGED, REFUSED = 409, 422  # a decision or a table came in between; what was asked cannot be


def guarded(app: Flask, token: str, port: int) -> Flask:
    """The application with its door: host names, token, cross-site requests, headers, and errors in words.

    The token comes once in the address and is a cookie from then on. Cookies are of a host, not of a port, so the
    cookie has the port in its name, and requests that change something have to carry a header and their origin.

    Args:
        app: The application.
        token: What the address has to hold at the first visit.
        port: Where it is served.
    """
    app.config.update(TRUSTED_HOSTS=HOSTS, MAX_CONTENT_LENGTH=UPLOAD_BYTES)
    cookie = f"reidgen-{port}"

    def admitted() -> Any:
        if isinstance(request.routing_exception, SecurityError):
            abort(400, f"This page answers to {' and '.join(HOSTS)} alone, not to {request.headers.get('Host')!a}.")
        if request.path == "/" and "token" in request.args and _equal(request.args["token"], token):
            response = make_response(redirect("/"))
            response.set_cookie(cookie, token, httponly=True, samesite="Strict")
            return response
        if not _equal(request.cookies.get(cookie, ""), token):
            abort(403, "This page needs the address that reidgen view has printed, with its token.")
        origin = request.headers.get("Origin")
        if request.method != "GET" and (MARK not in request.headers or origin not in (None, request.host_url[:-1])):
            abort(403, "Only the page itself may change something.")
        return None

    def dressed(response: Response) -> Response:
        response.headers.update(HEADERS)
        return response

    app.before_request(admitted)
    app.after_request(dressed)
    app.register_error_handler(HTTPException, lambda error: ({"error": error.description}, error.code))
    app.register_error_handler(ReidgenError, _told)
    app.register_error_handler(OSError, lambda error: ({"error": f"{error.filename}: {error.strerror}."}, 500))
    return app


def _equal(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(), token.encode())


def _told(error: ReidgenError) -> tuple[dict[str, Any], int]:
    return {"error": error.told(on_command_line)}, CHANGED if isinstance(error, RunError | ConflictError) else REFUSED
