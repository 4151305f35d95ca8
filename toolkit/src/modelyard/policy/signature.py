"""Who has signed a policy: git's word on the commit that it comes from, and on the tags of that commit."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from modelyard.errors import CheckFailed, UsageError
from modelyard.git import asked

VARIABLE = "AI_FACTORY_POLICY_SIGNERS"
# What ssh-keygen says; a signature by GPG is told otherwise, and is nobody's in a file of SSH keys.
_GOOD = re.compile(r'^Good "git" signature for (.+) with \S+ key \S+$', re.MULTILINE)
_UNKNOWN = re.compile(r'^Good "git" signature with \S+ key (\S+)$', re.MULTILINE)


def signer_of(file: Path, signers: Path) -> str:
    """Return who has signed the commit that a policy's file is of, or a tag on it.

    Args:
        file: the policy's.
        signers: public keys and whose they are, as `ssh-keygen -Y verify` reads them.

    Raises:
        CheckFailed: nobody of them has, or the file is not as the commit has it.
        UsageError: it cannot be checked here.
    """
    for program in ("git", "ssh-keygen"):
        if shutil.which(program) is None:
            raise UsageError(
                f"{program} is not installed, which checks the signature of the policy: install it (ssh-keygen is "
                f"part of OpenSSH), or unset {VARIABLE} to do without the check"
            )
    if not signers.is_file():
        raise UsageError(
            f"{signers} does not exist: {VARIABLE} or --signers names a file with lines such as "
            "`platform@acme.example ssh-ed25519 AAAA…`"
        )
    place = file.resolve()
    commit = asked(place.parent, "log", "-1", "--format=%h by %an <%ae>")
    if commit is None:
        raise CheckFailed(
            f"{file} is in no git repository, so nobody has signed it: name the file in a clone of the policy's "
            "repository, or the repository's address, # and the path in it"
        )
    if asked(place.parent, "status", "--porcelain", "--ignored", "-uall", "--", place.name) != "":
        raise CheckFailed(
            f"{file} is not as the commit {commit} has it: commit and sign it there, or restore it from git"
        )
    tags = (asked(place.parent, "tag", "--points-at", "HEAD") or "").split()
    said = [
        _verify(place.parent, signers, *words)
        for words in (("verify-commit", "HEAD"), *(("verify-tag", tag) for tag in tags))
    ]
    for one in said:
        if found := _GOOD.search(one):
            return found[1]
    unknown = [found[1] for one in said if (found := _UNKNOWN.search(one))]
    how = f"is signed by {', '.join(unknown)}" if unknown else "is not signed by an SSH key"
    raise CheckFailed(
        f"{file}: the commit {commit} {how}, expected a key of {signers}, valid on the day of the commit: one of the "
        "people there signs it (`git commit -S`, or `git tag -s` for a tag on it), or the key is added there; an older "
        "policy than that file allows is replaced by the newest"
    )


def _verify(folder: Path, signers: Path, *words: str) -> str:
    """Return what is said of a good signature; of others it may be anything else."""
    setting = f"gpg.ssh.allowedSignersFile={signers.resolve()}"
    done = subprocess.run(  # noqa: S603
        ["git", "-c", setting, *words],  # noqa: S607
        cwd=folder,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    return done.stderr if done.returncode == 0 or _UNKNOWN.search(done.stderr) else ""
