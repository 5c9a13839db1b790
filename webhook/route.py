"""The endpoint as a route of Flask's, for any server that speaks WSGI."""

from __future__ import annotations

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
