"""How gunicorn runs the service, under `leaderboard serve` and in a container alike.

Use it as `gunicorn -c python:leaderboard.gunicorn_conf -b HOST:PORT "leaderboard:create_app()"`. Arguments
and GUNICORN_CMD_ARGS come on top of what stands here; `WEB_CONCURRENCY` is the number of workers.
"""

from __future__ import annotations

import os
from pathlib import Path

# With threads, a few open event streams hold all of them and quick requests wait; a greenlet costs next to
# nothing.
worker_class = "gevent"

if "WEB_CONCURRENCY" not in os.environ:
    # The cores this process may use, where the system can tell. More than eight workers need a larger store
    # first.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = min(cores, 8)

#: Greenlets per worker; a live stream holds one for as long as it is open.
worker_connections = 2000

# Each worker connects for itself: a connection that is shared across a fork mixes up replies.
preload_app = False

# Seconds that requests in flight have at a stop. An idle connection is waited for too, so `keepalive` is well
# below.
graceful_timeout = 30
keepalive = 5

# Workers show that they live by touching a file; on a disk that blocks, a healthy worker would be killed.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - gunicorn unlinks it at once

# On by default, it writes into the home directory: that fails in a read-only container, and nothing here uses
# it.
control_socket_disable = True

# A credential that is too long is as wrong as any other, and gets the same answer from us; gunicorn's 431 only from
# here on.
limit_request_field_size = 16_384

# One line per request costs more than some requests do, and a reverse proxy has it anyway.
accesslog = "-" if os.environ.get("LEADERBOARD_ACCESS_LOG") == "1" else None
loglevel = "warning"

# X-Forwarded-Proto counts from these addresses only (gunicorn's own default, written down as it decides whom
# we trust); FORWARDED_ALLOW_IPS names a proxy elsewhere. REMOTE_ADDR stays the peer's whatever is sent: whose
# X-Forwarded-For counts is LEADERBOARD_TRUSTED_PROXIES, see leaderboard/api/client_address.py.
forwarded_allow_ips = os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1,::1")
