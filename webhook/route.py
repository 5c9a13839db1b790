"""The endpoint as a route of Flask's, for any server that speaks WSGI."""

from __future__ import annotations

from http import HTTPStatus

from flask import Flask, Response, request
from werkzeug.exceptions import ClientDisconnected
from werkzeug.routing import Rule

from webhook.intake import BODY_BYTES_MAX, WEBHOOK_PATH, BodyFault, Endpoint, read_length


def add_webhook(app: Flask, endpoint: Endpoint) -> None:
    """Let the endpoint answer WEBHOOK_PATH, whatever the method."""

    def webhook() -> Response:
        answer = endpoint.answer(request.method, request.headers, read_body())
        return Response(answer.body, answer.status, list(answer.headers))

    app.view_functions["webhook"] = webhook
    app.url_map.add(Rule(WEBHOOK_PATH, endpoint="webhook"))  # app.route would answer other methods by itself


def refuse_webhook(app: Flask) -> None:
    """Answer WEBHOOK_PATH where only pages are served: 503, so that Zoom sends again what a proxy led astray."""

    def webhook() -> Response:
        says = f"This process serves the pages only (WEB_SERVES); {WEBHOOK_PATH} is another one's. Send it again.\n"
        return Response(says, HTTPStatus.SERVICE_UNAVAILABLE, mimetype="text/plain")

    app.view_functions["webhook"] = webhook
    app.url_map.add(Rule(WEBHOOK_PATH, endpoint="webhook"))


def read_body() -> bytes | BodyFault:
    """The whole body of this request, or why there is none."""
    length = read_length(request.headers)
    if isinstance(length, BodyFault):
        return length
    request.max_content_length = BODY_BYTES_MAX + 1  # a body of unknown length is cut off there without a word
    try:
        body = request.get_data(cache=False)
    except (ClientDisconnected, OSError):
        return BodyFault.INCOMPLETE
    return body if len(body) <= BODY_BYTES_MAX else BodyFault.TOO_LARGE
