"""What Nakama has in these tests, and its dumps as pg_dump 15 writes them, cut down; and how the tests read them."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leaderboard.model import Order, Policy, Tiebreak
from leaderboard.moving.foreign import ForeignBoard, ForeignScore, SourceError
from leaderboard.moving.nakama import Expired, Nakama
from leaderboard.moving.source import Source

#: What a source says of a score; where it stands in it is left out.
_SHOWN = ("board", "player", "score", "tiebreaks", "achieved_ms", "metadata", "display_name")

NOW = 1795392000000  # 2026-11-23T00:00:00Z

NEO, TRINITY, CYPHER = (f"0198a000-0000-7000-8000-00000000000{number}" for number in (1, 2, 3))

HEAD = r"""--
-- PostgreSQL database dump
--

\restrict MvrKX4JCY5cPWVuQYUmR6MYSWM2M6TAeutTo1M9ItzQTxP5rgg37j1WW77f2Zgg

-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);

CREATE TABLE public.leaderboard (
    id character varying(128) NOT NULL,
    sort_order smallint DEFAULT 1 NOT NULL,
    operator smallint DEFAULT 0 NOT NULL,
    reset_schedule character varying(64),
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    title character varying(255) DEFAULT ''::character varying NOT NULL,
    CONSTRAINT leaderboard_category_check CHECK ((category >= 0))
);

CREATE TABLE public.leaderboard_record (
    leaderboard_id character varying(128) NOT NULL,
    owner_id uuid NOT NULL,
    username character varying(128),
    score bigint DEFAULT 0 NOT NULL,
    subscore bigint DEFAULT 0 NOT NULL,
    num_score integer DEFAULT 1 NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    create_time timestamp with time zone DEFAULT now() NOT NULL,
    update_time timestamp with time zone DEFAULT now() NOT NULL,
    expiry_time timestamp with time zone DEFAULT '1970-01-01 00:00:00+00'::timestamp with time zone NOT NULL,
    max_num_score integer DEFAULT 1000000 NOT NULL,
    CONSTRAINT leaderboard_record_score_check CHECK ((score >= 0))
);

CREATE TABLE public.users (
    id uuid NOT NULL,
    location character varying(255)
);

"""

TAIL = r"""
ALTER TABLE ONLY public.leaderboard
    ADD CONSTRAINT leaderboard_pkey PRIMARY KEY (id);

--
-- PostgreSQL database dump complete
--

\unrestrict MvrKX4JCY5cPWVuQYUmR6MYSWM2M6TAeutTo1M9ItzQTxP5rgg37j1WW77f2Zgg

"""

BOARD_COLUMNS = "id, sort_order, operator, reset_schedule, metadata, title"
COLUMNS = (
    "leaderboard_id, owner_id, username, score, subscore, num_score, metadata, create_time, update_time, expiry_time,"
    " max_num_score"
)

#: What the database of these tests holds, as PostgreSQL writes each value.
BOARDS: list[list[str | None]] = [
    ["weekly_kills", "1", "0", "0 0 * * 1", "{}", ""],
    ["Speed Run!", "0", "0", None, "{}", 'The "Fast" Cup'],
]
RECORDS: list[list[str | None]] = [
    # weekly_kills: this week's, last week's, and one that joined and never scored
    ["weekly_kills", NEO, "neo", "1200", "3", "1", '{"level": 7, "name": "a\\\\tb\\nc\'d\\"é"}',
     "2026-11-17 00:00:00.256313+00", "2026-11-20 12:34:56.789012+00", "2026-11-30 00:00:00+00", "1000000"],
    ["weekly_kills", NEO, "neo", "900", "3", "4", "{}",
     "2026-11-10 00:00:00+00", "2026-11-10 12:34:56+00", "2026-11-16 00:00:00+00", "1000000"],
    ["weekly_kills", TRINITY, "a\tb\\c'd\ne; \r \"q\" \b\f\v", "0", "0", "1", "{}",
     "2026-11-17 05:45:00+05:45", "2026-11-20 17:34:56.7+05:45", "2026-11-30 05:45:00+05:45", "1000000"],
    ["weekly_kills", CYPHER, "joined", "0", "0", "0", "{}",
     "2026-11-17 00:00:00+00", "2026-11-17 00:00:00+00", "2026-11-30 00:00:00+00", "3"],
    # Speed Run!, which never resets
    ["Speed Run!", TRINITY, "\\N", "999999999999999", "0", "1", "{}",
     "2026-11-17 00:00:00+00", "1916-07-02 00:00:00+00", "1969-12-31 19:00:00-05", "1000000"],
    ["Speed Run!", CYPHER, None, "61000", "0", "2", "{}",
     "2026-11-17 00:00:00+00", "2026-11-17 00:00:00+00", "1970-01-01 00:00:00+00", "1000000"],
]  # fmt: skip

THE_BOARDS = [
    ForeignBoard("weekly_kills", Order.DESC, Policy.BEST, 0, (Tiebreak("subscore"),), "", "0 0 * * 1"),
    ForeignBoard("Speed Run!", Order.ASC, Policy.BEST, 0, (Tiebreak("subscore", Order.ASC),), 'The "Fast" Cup'),
]
METADATA = b'{"level":7,"name":"a\\\\tb\\nc\'d\\"\xc3\xa9"}'
#: Without their lines.
THE_SCORES: list[tuple[Any, ...]] = [
    ("weekly_kills", NEO, 1200, {"subscore": 3}, 1795178096789, METADATA, "neo"),
    ("weekly_kills", TRINITY, 0, {}, 1795175396700, b"", 'a\tb\\c\'d\ne; \r "q" \b\f\v'),
    ("Speed Run!", TRINITY, 999999999999999, {}, -1688342400000, b"", "\\N"),
    ("Speed Run!", CYPHER, 61000, {}, 1794873600000, b"", None),
]

#: What a player may write into a profile, hoping that it is read as something else.
PROFILES = [
    "x\nINSERT INTO public.leaderboard_record VALUES ('gold', 'evil', 'evil', 9, 0, 1, '{}', '', '', '', 5);\n",
    "\\.\nCOPY public.leaderboard_record (leaderboard_id) FROM stdin;\nevil\n\\.\n",
    "'); \nINSERT INTO public.leaderboard_record VALUES ('evil');",
    ";",
    "');\n",
    "\n-- PostgreSQL database dump complete\nCREATE TABLE public.leaderboard_record (\n    evil integer\n);\n",
    "\\",
    "'",
]


def copy_escaped(value: str | None) -> str:
    """As PostgreSQL's COPY TO writes text: each of these characters escaped, and no others."""
    if value is None:
        return r"\N"
    letters = {"\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}
    return "".join(letters.get(character, character) for character in value)


def copy(table: str, columns: str, rows: list[list[str | None]]) -> str:
    lines = ["\t".join(map(copy_escaped, row)) + "\n" for row in rows]
    return f"COPY {table} ({columns}) FROM stdin;\n{''.join(lines)}\\.\n\n\n"


def tuple_of(row: list[str | None], escaped: bool = False) -> str:
    """As pg_dump writes a row: numbers bare, texts in apostrophes."""
    values = []
    for column, value in enumerate(row):
        if value is None or (column in (3, 4, 5, 10) and value.isdigit()):
            values.append(value or "NULL")
        else:
            text = value.replace("'", "''")
            values.append("E'" + text.replace("\\", "\\\\") + "'" if escaped and "\\" in text else f"'{text}'")
    return f"({', '.join(values)})"


def inserts(table: str, columns: str, rows: list[list[str | None]], escaped: bool = False) -> str:
    """--inserts"""
    return "".join(f"INSERT INTO {table} VALUES {tuple_of(row, escaped)};\n" for row in rows) + "\n\n"


def named_inserts(table: str, columns: str, rows: list[list[str | None]]) -> str:
    """--column-inserts"""
    return inserts(f"{table} ({columns})", columns, rows)


def escaped_inserts(table: str, columns: str, rows: list[list[str | None]]) -> str:
    """--inserts, out of a database with standard_conforming_strings = off"""
    return inserts(table, columns, rows, escaped=True)


def inserts_of_two(table: str, columns: str, rows: list[list[str | None]]) -> str:
    """--rows-per-insert=2 --on-conflict-do-nothing"""
    pairs = [rows[at : at + 2] for at in range(0, len(rows), 2)]
    joined = [",\n".join(f"\t{tuple_of(row)}" for row in pair) for pair in pairs]
    return "".join(f"INSERT INTO {table} VALUES\n{rows} ON CONFLICT DO NOTHING;\n" for rows in joined)


MANNERS = [copy, inserts, named_inserts, inserts_of_two, escaped_inserts]


def database(manner: Callable[..., str], schema: str = "public", records: list[list[str | None]] = RECORDS) -> str:
    """A dump with profiles before and after what is to be read."""
    profiles: list[list[str | None]] = [[NEO, profile] for profile in PROFILES]
    return (
        HEAD.replace("public.", f"{schema}.")
        + manner(f'{schema}."it\'s, (odd)"', '"b c", text', profiles)
        + manner(f"{schema}.leaderboard", BOARD_COLUMNS, BOARDS)
        + manner(f"{schema}.leaderboard_record", COLUMNS, records)
        + manner(f"{schema}.users", "id, location", profiles)
        + TAIL
    )


def read(tmp_path: Path, content: str | bytes, expired: Expired = Expired.SKIP) -> tuple[list[Any], Nakama]:
    path = tmp_path / "nakama"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    reading = Nakama(path, NOW, expired)
    return list(reading), reading


def scores(found: list[Any]) -> list[tuple[Any, ...]]:
    """Without their lines."""
    shown = [score for score in found if isinstance(score, ForeignScore)]
    return [tuple(getattr(score, name) for name in _SHOWN) for score in shown]


def refusal(tmp_path: Path, content: str | bytes) -> str:
    with pytest.raises(SourceError) as caught:
        read(tmp_path, content)
    return str(caught.value).removeprefix(str(tmp_path / "nakama")).lstrip(",: ")


def source_of(raw: bytes) -> Source:
    return Source("dump", io.BufferedReader(io.BytesIO(raw)), -1)
