"""What the service is measured against: the least that Flask and a sorted set can do. `gunicorn loadtests.bare:app`."""

from __future__ import annotations

import os

import redis
from flask import Flask, Response, jsonify, request

app = Flask(__name__, static_folder=None)
store = redis.Redis.from_url(os.environ["LEADERBOARD_REDIS_URL"])


@app.get("/hello")
def hello() -> Response:
    return jsonify(hello="world")


@app.post("/zadd")
def zadd() -> Response:
    body = request.get_json()
    return jsonify(added=store.zadd("bare", {body["player"]: body["score"]}))
