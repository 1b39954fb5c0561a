"""The store of the service: SQLite in its folder, or PostgreSQL by URL."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final
from urllib.parse import quote

from tuning_logs.sql.sql_store import SqlStore

#: Apart from that of tuning logs, which may share the database.
VERSION_TABLE: Final = "service_alembic_version"
_FILE: Final = "service.db"
_PRIVATE: Final = 0o600


def open_database(folder: Path, url: str | None = None) -> SqlStore:
    """Opens the store, and makes its tables or brings them up to date; a new file is its owner's alone.

    url: of PostgreSQL or SQLite; by default SQLite in the folder. Raises Misuse and StorageError as `SqlStore` does.
    """
    if url is None:
        path = (folder / _FILE).absolute()
        # Made here, so that at no time others can read it; SQLite gives its companions the same permissions.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, _PRIVATE))
        url = f"sqlite:///{quote(str(path))}"
    store = SqlStore(url, Path(__file__).with_name("migrations"), VERSION_TABLE)
    store.migrate()
    return store
