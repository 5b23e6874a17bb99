"""A TCP proxy between the service and its store that breaks what passes through it."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Self
from urllib.parse import unquote, urlsplit


class Proxy:
    """Passes everything on until told otherwise; what it is told is true for the next request on.

    A client sends a request and waits for its reply, so what arrives from it at once is one request (or a pipeline).
    The faults strike only requests that contain `only`, so that handshakes and loading the library are left alone.
    """

    def __init__(self, store_url: str, *, only: bytes = b"FCALL\r\n", seed: int = 1) -> None:
        self._store = urlsplit(store_url)
        self._only = only
        self._random = random.Random(seed)
        #: The share of requests that are lost on the way, and of those whose reply is.
        self.lose_requests = 0.0
        self.lose_replies = 0.0
        #: So many of the next replies are lost for certain.
        self.eat_replies = 0
        #: So many more such requests pass; whatever comes after them finds nothing there. None for no end.
        self.refuse_after: int | None = None
        #: What was seen: connections, requests that faults may strike, and replies that were lost.
        self.connections = self.requests = self.lost = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._flowing.set()
        self.accept()
        return self

    def __exit__(self, *_: object) -> None:
        self.resume()
        self.refuse()
        self._run(self._finish())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def accept(self) -> None:
        self._run(self._listen())

    def refuse(self) -> None:
        """Close everything; new connections are refused."""
        self._run(self._close())

    def stall(self) -> None:
        """Let nothing through, in either direction, and keep the connections."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def resume(self) -> None:
        self._loop.call_soon_threadsafe(self._flowing.set)

    # -- in the loop's thread ------------------------------------------------------------------------------------

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._open:
            writer.transport.abort()

    async def _finish(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self._store.scheme == "unix":
            there, back = await asyncio.open_unix_connection(unquote(self._store.path))
        else:
            there, back = await asyncio.open_connection(self._store.hostname, self._store.port)
        #: Whether the reply that comes next is to be lost.
        doomed = asyncio.Event()
        both = {writer, back}
        self._open |= both
        try:
            directions = [
                asyncio.ensure_future(self._requests(reader, back, doomed)),
                asyncio.ensure_future(self._replies(there, writer, doomed)),
            ]
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
            for direction in directions:
                direction.cancel()
            await asyncio.gather(*directions, return_exceptions=True)
        finally:
            self._open -= both
            for end in both:
                end.transport.abort()

    async def _requests(self, reader: asyncio.StreamReader, back: asyncio.StreamWriter, doomed: asyncio.Event) -> None:
        while data := await reader.read(1 << 20):
            await self._flowing.wait()
            if self.refuse_after == 0:
                await self._close()
                return
            if self._only in data:
                self.requests += 1
                if self.refuse_after is not None:
                    self.refuse_after -= 1
                if self._random.random() < self.lose_requests:
                    self.lost += 1
                    return
                if self.eat_replies > 0 or self._random.random() < self.lose_replies:
                    self.eat_replies = max(0, self.eat_replies - 1)
                    doomed.set()
            back.write(data)
            await back.drain()

    async def _replies(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter, doomed: asyncio.Event) -> None:
        with suppress(ConnectionError):
            while data := await there.read(1 << 20):
                await self._flowing.wait()
                if doomed.is_set():
                    # It came, so the store has done what was asked; only the service never learns of it.
                    self.lost += 1
                    return
                writer.write(data)
                await writer.drain()
