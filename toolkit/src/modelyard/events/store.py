"""Where small records are kept: each write happens whole, and only if nobody was faster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential


@dataclass(frozen=True)
class Found:
    """A record, and the mark that changes with every write of it."""

    content: bytes
    etag: str


class Store(Protocol):
    """Named records. A name is a path of letters, digits, `-`, `/` and `.`."""

    def read(self, name: str) -> Found | None:
        """The record, if there is one."""
        ...

    def create(self, name: str, content: bytes) -> str | None:
        """Write a record that is not there yet; returns its etag, or None if it is there."""
        ...

    def replace(self, name: str, content: bytes, etag: str) -> str | None:
        """Write a record that still has `etag`; returns the new one, or None if it does not."""
        ...

    def remove(self, name: str, etag: str) -> None:
        """Remove a record, if it still has `etag`."""
        ...


class BlobStore:
    """Records as blobs of a container.

    The client repeats a request whose answer was lost; the repetition then meets its own write. So a
    refused write is looked at: if the record is exactly what was to be written, it was. Contents have
    to differ between writers.
    """

    def __init__(self, container_url: str, credential: TokenCredential) -> None:
        from azure.storage.blob import ContainerClient

        self._container = ContainerClient.from_container_url(container_url, credential)

    def read(self, name: str) -> Found | None:
        """See `Store`."""
        from azure.core.exceptions import ResourceNotFoundError

        try:
            blob = self._container.download_blob(name)
        except ResourceNotFoundError:
            return None
        return Found(blob.readall(), blob.properties.etag)

    def create(self, name: str, content: bytes) -> str | None:
        """See `Store`."""
        from azure.core.exceptions import ResourceExistsError

        try:
            written = self._container.get_blob_client(name).upload_blob(content, overwrite=False)
        except ResourceExistsError:
            return self._own(name, content)
        return str(written["etag"])

    def replace(self, name: str, content: bytes, etag: str) -> str | None:
        """See `Store`."""
        from azure.core import MatchConditions
        from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError

        blob = self._container.get_blob_client(name)
        try:
            written = blob.upload_blob(
                content, overwrite=True, etag=etag, match_condition=MatchConditions.IfNotModified
            )
        except (ResourceModifiedError, ResourceNotFoundError):
            return self._own(name, content)
        return str(written["etag"])

    def remove(self, name: str, etag: str) -> None:
        """See `Store`."""
        from azure.core import MatchConditions
        from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError

        try:
            self._container.delete_blob(
                name, etag=etag, match_condition=MatchConditions.IfNotModified
            )
        except (ResourceModifiedError, ResourceNotFoundError):
            return

    def _own(self, name: str, content: bytes) -> str | None:
        found = self.read(name)
        return found.etag if found is not None and found.content == content else None
