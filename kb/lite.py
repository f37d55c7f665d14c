"""Milvus Lite as a server inside of this process.

It speaks gRPC without a password, so it listens on a socket in a private folder, not on a port.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from pathlib import Path

from desk.errors import DeskError, Misconfigured, Transient

_ERRNO = re.compile(r"\[Errno (\d+)\]")
_OF_THE_SYSTEM = ("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EACCES", "EPERM", "EIO", "EMFILE")
"""Errors that say nothing of what is in the folder."""


class Lite:
    """A Milvus Lite server in this process, on a folder that no other process has open."""

    def __init__(self, folder: Path) -> None:
        try:
            from milvus_lite.adapter.grpc.server import start_server_in_thread
            from milvus_lite.exceptions import DataDirLockedError, MilvusLiteError
        except ImportError as error:
            raise Misconfigured("milvus-lite is not installed: pip install milvus-lite.") from error
        self._folder, self._sockets = folder, ""
        try:
            self._sockets = tempfile.mkdtemp(prefix="maildesk-")
            folder.parent.mkdir(parents=True, exist_ok=True)
            server, database, _ = start_server_in_thread(
                str(folder), host=f"unix:{self._sockets}/milvus", port=0
            )
        except DataDirLockedError as error:
            self._forget_sockets()
            raise Misconfigured(
                f"The knowledge base {folder} is open in another process: stop that one, or run a "
                "Milvus server and let both use its URL."
            ) from error
        except (MilvusLiteError, OSError, ValueError) as error:
            self._forget_sockets()
            raise self.told(error) from error
        self._server, self._database = server, database
        self.uri = f"unix:{self._sockets}/milvus:0"

    def told(self, error: BaseException) -> DeskError:
        """What to do about an error; of one of the system Milvus Lite keeps the text alone."""
        found = _ERRNO.search(str(error))
        number = int(found[1]) if found else 0
        if errno.errorcode.get(number) in _OF_THE_SYSTEM:
            return Transient(
                f"The knowledge base {self._folder} cannot be read or written: "
                f"{os.strerror(number)}."
            )
        return Misconfigured(
            f"The knowledge base {self._folder} is damaged ({type(error).__name__}): move it away "
            "and add the articles again."
        )

    def close(self) -> None:
        self._server.stop(grace=1).wait()
        self._database.close()
        self._forget_sockets()

    def _forget_sockets(self) -> None:
        if self._sockets:
            shutil.rmtree(self._sockets, ignore_errors=True)
