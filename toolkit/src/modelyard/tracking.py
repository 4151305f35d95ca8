"""Address and settings of the MLflow tracking server."""

from __future__ import annotations

import functools
import logging
import os
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from modelyard.errors import shortened
from modelyard.files import has_file, locked, project_root
from modelyard.relocation import check_place

# Each counts where the environment says nothing else.
MLFLOW_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # which is for the results of commands
    # About 12 seconds for a server that restarts; MLflow's own 7 make a dead one hold up four minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
}


def tracking_uri(root: Path | None = None) -> str:
    """Return MLFLOW_TRACKING_URI, else the project's own sqlite file.

    A user and a password in a server's address move to the variables in which MLflow looks for them, here
    and for every process started from here: an address is printed and kept, those are not.

    Raises:
        UsageError: the project's own file is of a folder that has been moved since.
    """
    given = os.environ.get("MLFLOW_TRACKING_URI")
    if not given:
        root = root or project_root()
        check_place(local_store(root), root)
        return store_uri(local_store(root))
    address = urlsplit(given)
    if address.scheme in ("http", "https") and "@" in address.netloc:
        os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(address.username or "")
        os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(address.password or "")
        given = urlunsplit(address._replace(netloc=address.netloc.rpartition("@")[2]))
        os.environ["MLFLOW_TRACKING_URI"] = given
    return given


def local_store(root: Path) -> Path:
    """Return the path of the embedded MLflow database."""
    return root / ".mlflow" / "mlflow.db"


def store_uri(file: Path) -> str:
    """Return the address of an sqlite file.

    SQLAlchemy takes `?` for the end of the path, and what follows `%` for a character. MLflow makes the
    folder of the address as it is written: without a slash in it that is the working folder.
    """
    path = str(file)
    return f"sqlite:///{quote(path, safe='') if {'%', '?'} & set(path) else path}"


def store_file(uri: str) -> Path:
    """Return the file of an sqlite address."""
    return Path(unquote(uri.removeprefix("sqlite:///").partition("?")[0]))


@functools.cache
def _escape_migrations() -> None:
    """Escape the place of MLflow's migrations for their configuration, as MLflow escapes a store's address."""
    from alembic.config import Config

    set_option = Config.set_main_option

    def escaped(self: Config, name: str, value: str) -> None:
        set_option(self, name, value.replace("%", "%%") if name == "script_location" else value)

    Config.set_main_option = escaped  # type: ignore[method-assign]


def ensure_store(uri: str) -> None:
    """Make the embedded database where there is none yet, before MLflow does.

    MLflow makes and migrates tables while other processes look at them. Here one process makes the file
    while others wait, and it is there only when it is whole.
    """
    if not uri.startswith("sqlite:///"):
        return
    if "%" in __file__:
        _escape_migrations()
    file = store_file(uri)
    if has_file(file):
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    with locked(
        file.with_name(f".{file.name}.lock"), "another process that makes the MLflow store"
    ):
        if file.is_file():
            return
        new = file.with_name(f".{file.name}.new")
        new.unlink(missing_ok=True)
        # MLflow writes the place of its default experiment into SQL as it is: without an address that is
        # the working folder, in whose name `'"` and `:x` end the statement.
        store = SqlAlchemyStore(store_uri(new), (file.parent / "artifacts").absolute().as_uri())
        store.engine.dispose()  # Windows moves no file that is open
        if file.is_file():  # a step's own MLflow was faster, and has it open
            new.unlink()
        else:
            new.replace(file)


def shown_uri(uri: str) -> str:
    """Return an address that may be printed: without user, password and parameters."""
    if uri.startswith("sqlite:///"):
        return f"sqlite:///{store_file(uri)}"
    address = urlsplit(uri)
    host = address.netloc.rpartition("@")[2]
    return urlunsplit(address._replace(netloc=host, query="", fragment=""))


def reason(error: Exception, uri: str) -> str:
    """Shorten an error of a client of `uri` to a line, without secrets."""
    text = " ".join(str(error).split())
    password = urlsplit(uri).password or ""
    secrets = [uri if uri != shown_uri(uri) else "", password, unquote(password)]
    secrets += [os.environ.get(f"MLFLOW_TRACKING_{name}", "") for name in ("PASSWORD", "TOKEN")]
    for secret in filter(None, secrets):
        text = text.replace(secret, "***")
    if "Failed to establish a new connection" in text or "Connection refused" in text:
        return "no server answers there (connection refused)"
    return shortened(text, 300)
