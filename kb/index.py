"""The index on Milvus: a Milvus Lite folder of our own, or a Milvus server by its URL."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from desk.errors import DeskError, Misconfigured, Permanent, Transient
from desk.response import Passage
from kb.articles import Entry
from kb.lite import Lite
from kb.search import Embedded, Vectors

if TYPE_CHECKING:
    from pymilvus import AsyncMilvusClient, MilvusClient

LIMIT = (
    16_384  # Milvus returns at most so many rows of one query (its quotas, maxQueryResultWindow)
)
MAX_BYTES = 60_000  # a VARCHAR holds at most 65,535 bytes
_ILLEGAL_ARGUMENT = 5  # Milvus Lite's adapter/grpc/errors.py
_SILENCE = re.compile(r"\[\w+\] Retry (?:timeout|run out)")  # pymilvus/decorators.py
FIELDS = ["key", "version", "article", "title", "heading", "text"]

Row = Mapping[str, Any]


class Index:
    """A PassageIndex on Milvus. It opens in the background, and again after any failure, so that
    nothing else waits for it; its first use does."""

    def __init__(
        self,
        location: Path | str,
        token: str = "",
        dimension: int = 384,
        collection: str = "passages",
        timeout: float = 10.0,
    ) -> None:
        self._location = location
        self._token = token
        self._dimension = dimension
        self._collection = collection
        self._timeout = timeout
        self._lite: Lite | None = None
        self._client: AsyncMilvusClient | None = None
        self._opening: asyncio.Task[AsyncMilvusClient] | None = None
        self._open_lock = asyncio.Lock()
        self._write_lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        self._opening = asyncio.create_task(self._opened())
        self._opening.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._opening is not None:
            with suppress(DeskError):
                await self._opening
        async with self._open_lock:
            await self._drop()
            await asyncio.to_thread(self._close_lite)

    async def add(self, batch: Sequence[Embedded]) -> None:
        """The new versions are stored before the older ones go, and searches prefer them."""
        of_these = f"key in {json.dumps([_key(one.article.name) for one in batch])}"
        async with self._write_lock, self._calls() as client:
            stored = await self._query(client, of_these, ["version"])
            version = max([time.time_ns(), *(row["version"] + 1 for row in stored)])
            rows = [row for one in batch for row in _rows(one, version)]
            # the last first: an article is listed by its first passage, when the others are there
            for at in reversed(range(0, len(rows), 500)):
                await client.upsert(self._collection, rows[at : at + 500], timeout=self._timeout)
            older = f"{of_these} and version < {version}"
            await client.delete(self._collection, filter=older, timeout=self._timeout)

    async def remove(self, name: str) -> bool:
        only = f'key == "{_key(name)}"'
        async with self._write_lock, self._calls() as client:
            if not await self._query(client, only, ["version"]):
                return False
            await client.delete(self._collection, filter=only, timeout=self._timeout)
            return True

    async def articles(self) -> list[Entry]:
        """At most 16,384, which is as many as Milvus lists."""
        fields = ["key", "version", "article", "title", "sha256", "passages"]
        async with self._calls() as client:
            rows = await self._query(client, "n == 0", fields)
        entries = [
            Entry(row["article"], row["title"], row["sha256"], row["passages"])
            for row in _newest(rows)
        ]
        return sorted(entries, key=lambda entry: entry.name)

    async def search(self, vector: Vectors, k: int) -> list[Passage]:
        async with self._calls() as client:
            [hits] = await client.search(
                self._collection,
                data=[vector.tolist()],
                anns_field="vector",
                limit=min(2 * k, LIMIT),  # an article that is being replaced may be there twice
                search_params={"metric_type": "COSINE"},
                output_fields=FIELDS,
                timeout=self._timeout,
            )
        found = _newest([{**hit["entity"], "score": hit["distance"]} for hit in hits])
        return [_passage(row) for row in found[:k]]

    async def _query(
        self, client: AsyncMilvusClient, condition: str, fields: list[str]
    ) -> list[Row]:
        rows: list[Row] = await client.query(
            self._collection,
            filter=condition,
            output_fields=fields,
            limit=LIMIT,
            timeout=self._timeout,
        )
        return rows

    @asynccontextmanager
    async def _calls(self) -> AsyncIterator[AsyncMilvusClient]:
        """The client, opened if need be; its errors are translated, and it is opened anew after."""
        client = await self._opened()
        try:
            yield client
        except _errors() as error:
            async with self._open_lock:
                if self._client is client:
                    await self._drop()
            raise self.told(error) from error

    async def _opened(self) -> AsyncMilvusClient:
        async with self._open_lock:
            if self._client is None:
                self._client = await asyncio.to_thread(self._connect)
            return self._client

    async def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with suppress(*_errors()):
                await client.close()

    def _connect(self) -> AsyncMilvusClient:
        """Runs in a thread: importing pymilvus takes about a second. The collection is made by the
        synchronous client, because Milvus Lite does not serve what the other one asks for that
        (AllocTimestamp is unimplemented in 3.2)."""
        for name in ("pymilvus", "milvus_lite.adapter"):  # their errors are ours to report
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            from pymilvus import AsyncMilvusClient, MilvusClient
        except ImportError as error:
            raise Misconfigured("pymilvus is not installed: pip install pymilvus.") from error
        try:
            uri = self._uri()
            client = MilvusClient(uri, token=self._token, timeout=self._timeout, dedicated=True)
            try:
                self._prepare(client)
            finally:
                client.close()
        except _errors() as error:
            told = self.told(error)
            self._close_lite()  # the folder may be put right meanwhile
            raise told from error
        return AsyncMilvusClient(uri, token=self._token, timeout=self._timeout, dedicated=True)

    def told(self, error: BaseException) -> DeskError:
        """What Milvus Lite answers is mostly about its folder."""
        from pymilvus.exceptions import MilvusException

        is_answer = (
            isinstance(error, MilvusException)
            and error.code != _ILLEGAL_ARGUMENT
            and not _SILENCE.match(error.message)
        )
        told = self._lite.told if self._lite is not None and is_answer else translated
        return told(error)

    def _uri(self) -> str:
        if isinstance(self._location, str) and "://" in self._location:
            return self._location
        if self._lite is None:
            self._lite = Lite(Path(self._location))
        return self._lite.uri

    def _close_lite(self) -> None:
        if self._lite is not None:
            self._lite.close()
            self._lite = None

    def _prepare(self, client: MilvusClient) -> None:
        """Make the collection if it is missing, and load it into memory."""
        from pymilvus import DataType

        if not client.has_collection(self._collection, timeout=self._timeout):
            schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
            schema.add_field("pk", DataType.VARCHAR, is_primary=True, max_length=100)
            schema.add_field("key", DataType.VARCHAR, max_length=32)
            schema.add_field("sha256", DataType.VARCHAR, max_length=64)
            for field in ("version", "n", "passages"):
                schema.add_field(field, DataType.INT64)
            for field in ("article", "title", "heading", "text"):
                schema.add_field(field, DataType.VARCHAR, max_length=65_535)
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=self._dimension)
            params = client.prepare_index_params()
            params.add_index("vector", index_type="FLAT", metric_type="COSINE")
            client.create_collection(
                self._collection,
                schema=schema,
                index_params=params,
                consistency_level="Strong",
                timeout=self._timeout,
            )
        self._verify(client.describe_collection(self._collection, timeout=self._timeout))
        client.load_collection(self._collection, timeout=self._timeout)

    def _verify(self, described: Row) -> None:
        fields = {field["name"]: field.get("params", {}) for field in described["fields"]}
        if int(fields.get("vector", {}).get("dim", 0)) != self._dimension or "key" not in fields:
            raise Misconfigured(
                f"The Milvus collection {self._collection} at {self._location} was made by another "
                "encoder: name another collection, or delete it and add the articles again."
            )


def _key(name: str) -> str:
    """Names may hold any sign, but Milvus Lite takes no parameters in conditions."""
    return hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:32]


def _rows(embedded: Embedded, version: int) -> list[dict[str, Any]]:
    article, passages = embedded.article, embedded.passages
    key = _key(article.name)
    rows: list[dict[str, Any]] = [
        {
            "pk": f"{key}_{version}_{n}",
            "key": key,
            "sha256": article.sha256,
            "version": version,
            "n": n,
            "passages": len(passages),
            "article": article.name,
            "title": passage.title,
            "heading": passage.heading,
            "text": passage.text,
            "vector": vector.tolist(),
        }
        for n, (passage, vector) in enumerate(zip(passages, embedded.vectors, strict=True))
    ]
    longest = max((len(passage.text.encode("utf-8", "replace")) for passage in passages), default=0)
    if longest > MAX_BYTES:
        raise Permanent(f"{article.name} has a passage of {longest} bytes; split it.")
    return rows


def _newest(rows: Sequence[Row]) -> list[Row]:
    """The rows without those of versions that are being replaced."""
    newest: dict[str, int] = {}
    for row in rows:
        newest[row["key"]] = max(row["version"], newest.get(row["key"], 0))
    return [row for row in rows if row["version"] == newest[row["key"]]]


def _passage(row: Row) -> Passage:
    return Passage(row["article"], row["title"], row["heading"], row["text"], float(row["score"]))


def _errors() -> tuple[type[BaseException], ...]:
    import grpc
    from pymilvus.exceptions import MilvusException

    return MilvusException, grpc.RpcError, grpc.aio.UsageError, TimeoutError


def translated(error: BaseException) -> DeskError:
    """What to do about an error; without the library's own text, which may quote articles."""
    import grpc

    code = error.code() if isinstance(error, grpc.RpcError) else getattr(error, "code", None)
    denied = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
    if code in denied or "auth check fail" in str(error):
        return Misconfigured("Milvus refuses the token: correct it in the settings.")
    if getattr(error, "is_input_error", False):
        return Permanent(f"Milvus refuses the request (code {code}).")
    return Transient(f"Milvus does not answer ({type(error).__name__}, code {code}).")
