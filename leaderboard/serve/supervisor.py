"""What `leaderboard serve` runs: the embedded store, the worker, the web server and the demo, as its children.

A child that dies is started again. Killing this process with -9 ends its children too: see
`leaderboard.child`.
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import click

from leaderboard.addresses import archive_address, store_address, store_options
from leaderboard.child import Child
from leaderboard.errors import SettingError
from leaderboard.serve.announcement import announcement
from leaderboard.serve.first_start import ADMIN_KEY, SERVER_KEY, FirstKeys, first_keys
from leaderboard.serve.listener import address_to_try, listen, url_of
from leaderboard.serve.mending import mend
from leaderboard.settings import Durability, Settings
from leaderboard.stop_request import StopRequest
from leaderboard.store.embedded import EmbeddedStore

#: A child that died is started again after this long, and after twice as long each time that it dies soon
#: again.
FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 30.0
#: A child that ran this long had started well; its next death is a new story.
STEADY_S = 60.0
#: How long the web server may take to answer for the first time.
BOOT_S = 60.0
#: More than gunicorn's graceful_timeout, after which it ends by itself.
WEB_STOP_S = 40.0
DEMO_STOP_S = 5.0
#: More than a worker takes to archive what is left.
WORKER_STOP_S = 10.0
#: What a child still gets after a second Ctrl-C.
HURRIED_STOP_S = 3.0

_POLL_S = 0.1


@dataclass(slots=True)
class Kept:
    """A child that is to run for as long as we do."""

    name: str
    launch: Callable[[], Child]
    stop_s: float
    child: Child
    started_at: float = field(default_factory=time.monotonic)
    #: Until when a dead child is left alone; None while it lives.
    due_at: float | None = None
    delay_s: float = 0.0


class Supervisor:
    """One run of `leaderboard serve`."""

    def __init__(self, settings: Settings, *, app: str, workers: int | None, stop: StopRequest) -> None:
        self._settings = replace(settings, data_dir=settings.data_dir.absolute())
        self._app = app
        self._workers = workers
        self._stop = stop
        #: In the order of their start; they end in the reverse order.
        self._kept: list[Kept] = []

    def run(self, host: str, port: int, *, demo: bool) -> None:
        """Run until a stop is asked for; raise SettingError when it cannot start."""
        if self._settings.redis_url is None and self._settings.durability is Durability.REPLICATED:
            raise SettingError(
                "LEADERBOARD_DURABILITY is replicated, which the embedded store, alone as it is, cannot be"
            )
        listener = listen(host, port)
        store = EmbeddedStore(self._settings) if self._settings.redis_url is None else None
        try:
            if store is not None:
                if not store.start(self._stop):
                    return
                self._settings = replace(self._settings, redis_url=store.url)
                assert store.child is not None  # noqa: S101 - it has just started
                self._kept.append(Kept("store", store.launch, 0.0, store.child))
                mend(self._settings)
            # Before the web server, so that it ends after it and archives what came last.
            self._keep("worker", self._launch_worker, WORKER_STOP_S)
            self._keep("web server", lambda: self._launch_web(listener), WEB_STOP_S)
            if not self._wait_until_live(listener):
                return
            keys = first_keys(self._settings)
            self._announce(url_of(listener), store, keys, demo=demo)
            if demo:
                self._keep("demo", lambda: self._launch_demo(url_of(listener), keys), DEMO_STOP_S)
            while not self._stop():
                self._restart_the_dead()
                time.sleep(_POLL_S)
        finally:
            # New connections are refused from here on, and those in the web server's hands are finished.
            listener.close()
            for kept in reversed(self._kept):
                if store is None or kept.child is not store.child:
                    self._end(kept)
            if store is not None:
                store.stop()

    def _keep(self, name: str, launch: Callable[[], Child], stop_s: float) -> None:
        self._kept.append(Kept(name, launch, stop_s, launch()))

    def _launch_web(self, listener: socket.socket) -> Child:
        # The settings' file is named by module, so gunicorn finds it wherever the package is installed.
        arguments = ["-c", "python:leaderboard.gunicorn_conf", "-b", f"fd://{listener.fileno()}", self._app]
        concurrency = {} if self._workers is None else {"WEB_CONCURRENCY": str(self._workers)}
        return Child(
            [sys.executable, "-m", "gunicorn", *arguments],
            env=self._environment(concurrency),
            pass_fds=[listener.fileno()],
        )

    def _launch_worker(self) -> Child:
        return Child([sys.executable, "-m", "leaderboard.worker"], env=self._environment({}))

    def _launch_demo(self, url: str, keys: FirstKeys) -> Child:
        # Keys go through the environment: every user of a machine can read arguments.
        given = {ADMIN_KEY: self._settings.admin_key, SERVER_KEY: self._settings.server_key}
        secrets = {**keys.kept, **{name: secret for name, secret in given.items() if secret is not None}}
        return Child([sys.executable, "-m", "leaderboard.demo", "--url", url], env=self._environment(secrets))

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        ours = {"LEADERBOARD_DATA_DIR": str(self._settings.data_dir)}
        if self._settings.redis_url is not None:
            ours["LEADERBOARD_REDIS_URL"] = self._settings.redis_url
        return {**os.environ, **ours, **more}

    def _wait_until_live(self, listener: socket.socket) -> bool:
        """Return True once /livez answers 200, False when a stop was asked for before."""
        web = self._kept[-1].child
        deadline = time.monotonic() + BOOT_S
        while not self._stop():
            status = web.poll()
            if status is not None:
                # Starting it again would only repeat what it has just written to the terminal.
                raise SettingError(f"the web server did not start (status {status}); the reason stands above")
            if time.monotonic() > deadline:
                raise SettingError(f"the web server did not answer within {BOOT_S:.0f} s")
            if _is_live(*address_to_try(listener)):
                return True
            time.sleep(_POLL_S)
        return False

    def _announce(self, url: str, store: EmbeddedStore | None, keys: FirstKeys, *, demo: bool) -> None:
        engine = store_address(self._settings.redis_url or "") if store is None else f"{store.engine}, embedded"
        click.echo(
            announcement(
                url=url,
                data_dir=self._settings.data_dir,
                engine=engine,
                archive=archive_address(self._settings),
                keys=keys,
                demo=demo,
                show_secrets=sys.stdout.isatty(),
            )
        )

    def _restart_the_dead(self) -> None:
        for kept in self._kept:
            status = kept.child.poll()
            now = time.monotonic()
            if status is not None and kept.due_at is None:
                before_s = 0.0 if now - kept.started_at > STEADY_S else kept.delay_s
                kept.delay_s = min(max(before_s * 2, FIRST_DELAY_S), LONGEST_DELAY_S)
                kept.due_at = now + kept.delay_s
                _warn(f"the {kept.name} ended (status {status}); starting it again in {kept.delay_s:g} s")
            elif kept.due_at is not None and now >= kept.due_at:
                kept.started_at, kept.due_at = now, None
                try:
                    kept.child = kept.launch()
                except OSError as error:
                    # The dead child stays in its place, so the next round waits for longer and tries again.
                    _warn(f"the {kept.name} cannot be started: {error}")

    def _end(self, kept: Kept) -> None:
        """Stop a child gracefully, less so when hurried, and with -9 when its time is over."""
        kept.child.send(signal.SIGTERM)
        deadline, hurried = time.monotonic() + kept.stop_s, False
        while not kept.child.wait(_POLL_S) and time.monotonic() < deadline:
            if self._stop.hurried and not hurried:
                hurried, deadline = True, time.monotonic() + HURRIED_STOP_S
                # gunicorn drops the requests in flight on SIGINT.
                kept.child.send(signal.SIGINT)
        kept.child.kill()


def serve(
    settings: Settings,
    *,
    host: str,
    port: int,
    workers: int | None = None,
    demo: bool = False,
    app: str = "leaderboard:create_app()",
) -> None:
    """Run the whole service until SIGTERM or Ctrl-C; raise SettingError when it cannot start."""
    # Else each child would say so, again and again.
    archive_address(settings)
    if settings.redis_url is not None:
        store_options(settings.redis_url)
    with StopRequest() as stop:
        Supervisor(settings, app=app, workers=workers, stop=stop).run(host, port, demo=demo)


def _warn(text: str) -> None:
    click.echo(f"leaderboard: {text}", err=True)


def _is_live(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=1.0)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
