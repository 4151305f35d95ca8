"""Storage of small records with optimistic concurrency."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.core.exceptions import HttpResponseError
    from azure.storage.blob import BlobClient, BlobLeaseClient


@dataclass(frozen=True)
class Found:
    """A record and its etag, which changes with every write."""

    content: bytes
    etag: str


class BlobStore:
    """Records as blobs of a container; a name is a path of letters, digits, `-`, `/` and `.`.

    Azure's client repeats a request whose response was lost, and the repetition is then refused because
    of the first write. So a refused write counts as done if the record has exactly its content. Contents
    of different writers must therefore differ.
    """

    def __init__(self, container_url: str, credential: TokenCredential) -> None:
        from azure.storage.blob import ContainerClient

        self._container = ContainerClient.from_container_url(container_url, credential)

    def read(self, name: str) -> Found | None:
        """Return the record; None if there is none."""
        from azure.core.exceptions import ResourceNotFoundError

        try:
            blob = self._container.download_blob(name)
        except ResourceNotFoundError:
            return None
        return Found(blob.readall(), blob.properties.etag)

    def create(self, name: str, content: bytes) -> str | None:
        """Write a new record; return its etag, or None if it exists."""
        from azure.core.exceptions import ResourceExistsError

        try:
            written = self._container.get_blob_client(name).upload_blob(content, overwrite=False)
        except ResourceExistsError:
            return self._own(name, content)
        return str(written["etag"])

    def replace(self, name: str, content: bytes, etag: str) -> str | None:
        """Replace a record that still has `etag`; return the new etag, or None if it has another."""
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
        """Remove a record if it still has `etag`."""
        from azure.core import MatchConditions
        from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError

        try:
            self._container.delete_blob(
                name, etag=etag, match_condition=MatchConditions.IfNotModified
            )
        except (ResourceModifiedError, ResourceNotFoundError):
            return

    def lease(self, name: str, seconds: int) -> BlobLease | None:
        """Take the right to write for 15 to 60 seconds, and make the record if there is none; None: it is taken."""
        from azure.core.exceptions import HttpResponseError

        self.create(name, b"")
        blob = self._container.get_blob_client(name)
        try:
            return BlobLease(blob, blob.acquire_lease(lease_duration=seconds))
        except HttpResponseError as error:
            if _code(error) == "LeaseAlreadyPresent":
                return None
            raise

    def _own(self, name: str, content: bytes) -> str | None:
        found = self.read(name)
        return found.etag if found is not None and found.content == content else None


class BlobLease:
    """The right to write a record, which ends by itself unless it is renewed."""

    def __init__(self, blob: BlobClient, lease: BlobLeaseClient) -> None:
        self._blob, self._lease = blob, lease

    def write(self, content: bytes) -> bool:
        """Replace the record; return False if another has the right by now."""
        return self._held(
            lambda: self._blob.upload_blob(content, overwrite=True, lease=self._lease)
        )

    def renew(self) -> None:
        """Keep the right for its whole length again, unless another has it by now."""
        self._held(self._lease.renew)

    def release(self) -> None:
        """Give the right back."""
        self._held(self._lease.release)

    @staticmethod
    def _held(action: Callable[[], object]) -> bool:
        from azure.core.exceptions import HttpResponseError

        try:
            action()
        except HttpResponseError as error:
            if (_code(error) or "").startswith("Lease"):
                return False
            raise
        return True


def _code(error: HttpResponseError) -> str | None:
    """Return the storage service's code of an error."""
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code)) if code else None
