"""Milvus Lite as a server inside of this process.

It speaks gRPC without a password, so it listens on a socket in a private folder, not on a port.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from desk.errors import Misconfigured


class Lite:
    """A Milvus Lite server in this process, on a folder that no other process has open."""

    def __init__(self, folder: Path) -> None:
        try:
            from milvus_lite.adapter.grpc.server import start_server_in_thread
            from milvus_lite.exceptions import DataDirLockedError, MilvusLiteError
        except ImportError as error:
            raise Misconfigured("milvus-lite is not installed: pip install milvus-lite.") from error
        self._sockets = tempfile.mkdtemp(prefix="maildesk-")
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            server, database, _ = start_server_in_thread(
                str(folder), host=f"unix:{self._sockets}/milvus", port=0
            )
        except DataDirLockedError as error:
            raise Misconfigured(
                f"The knowledge base {folder} is open in another process: stop that one, or run a "
                "Milvus server and let both use its URL."
            ) from error
        except (MilvusLiteError, OSError, ValueError) as error:
            raise Misconfigured(
                f"The knowledge base {folder} cannot be opened ({type(error).__name__}): move it "
                "away and add the articles again."
            ) from error
        self._server, self._database = server, database
        self.uri = f"unix:{self._sockets}/milvus:0"

    def close(self) -> None:
        self._server.stop(grace=1).wait()
        self._database.close()
        shutil.rmtree(self._sockets, ignore_errors=True)
