"""A three-way merge of what the template gave, what it gives now, and what the team made of it.

Git merges: it follows files that the team has renamed, and names what it cannot merge. All is done in a
store of objects beside the repository's own; neither its files nor its branches are touched.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from modelyard.console import listed
from modelyard.errors import UsageError
from modelyard.fleet.pins import Settled, settle
from modelyard.fleet.template import STATE, Origin, Template, read_origin
from modelyard.git import asked, blob, git

TITLE = "Template from"
MAIL = "template@localhost"
MOST_TEXT = 3_900  # characters of a pull request's text; Azure DevOps takes 4,000
MOST_PINS = 15  # in it
MOST_NEWS = 40  # lines in the message of a commit
NONE = "0" * 40
CONFLICT = "CONFLICT"
DELETED = "CONFLICT (modify/delete)"
MERGE = ("-c", "merge.directoryRenames=true", "-c", "merge.conflictStyle=diff3")
# Lists to which both sides add at the end.
ATTRIBUTES = ".gitignore merge=union\n.dockerignore merge=union\n.amlignore merge=union\n"

Kind = Literal["auto", "merged", "kept", "conflict"]
Entries = dict[str, tuple[str, str]]  # mode and digest, by path or by side


@dataclass(frozen=True)
class Change:
    """What an update means for a file.

    Attributes:
        kind: auto: as the template has it now; merged: the template's change and the team's; kept: the
            template's change is left out; conflict: both changed the same.
        why: of what is kept, and of a conflict; new or deleted for other files that are.
        pins: that both have moved, each with the newer version, which is taken.
    """

    file: str
    kind: Kind
    why: str = ""
    pins: tuple[str, ...] = ()


@dataclass(frozen=True)
class Upgrade:
    """An update that has been merged, and is not in the repository yet.

    Attributes:
        before: commit of the template that the project is of.
        after: commit of the template that it would be of; the same where other answers are the change.
        news: what the versions between brought.
        title: the first line of the commit.
        head: commit of the project that it was merged with.
        tree: the merged files, with conflict markers where there are conflicts.
        commit: that follows `head`; None where there are conflicts.
        theirs: commit of the template's changes alone, to be picked where there are conflicts.
    """

    before: str
    after: str
    news: tuple[str, ...]
    title: str
    changes: tuple[Change, ...]
    head: str
    tree: str
    commit: str | None
    theirs: str
    _git: _Store

    @property
    def description(self) -> str:
        """The text of a pull request."""
        kept = [
            f"- {one.file}: {one.why}"
            for one in self.changes
            if one.kind == "kept" and not one.pins
        ]
        lines = ["`make setup` afterwards: the toolkit may be a new one.", "", *self.news]
        lines += ["", "Left out, because it is the team's:", "", *kept] if kept else []
        pins = dict.fromkeys(pin for one in self.changes for pin in one.pins)
        moved = "- " + listed(pins, MOST_PINS, separator="\n- ")
        lines += ["", "Moved by both; the newer one counts:", "", moved] if pins else []
        return "\n".join(lines)[:MOST_TEXT]

    @property
    def conflicts(self) -> list[Change]:
        """The files that somebody has to decide about."""
        return [one for one in self.changes if one.kind == "conflict"]

    def sides(self, path: str) -> tuple[str | None, str | None]:
        """Return a file as it is, and as it would be; None where there is none."""
        return self._git.text(f"{self.head}:{path}"), self._git.text(f"{self.tree}:{path}")

    def store(self) -> str:
        """Bring the commit into the repository, where nothing refers to it yet; return it."""
        commit = self.commit or self.theirs
        objects = self._git.objects / "pack" / "pack"
        self._git("pack-objects", "-q", "--revs", str(objects), given=f"{commit}\n^{self.head}\n")
        return commit


@contextmanager
def merged(
    repository: Path,
    template: Template,
    version: str | None,
    branch: str = "HEAD",
    answers: Mapping[str, str] | None = None,
) -> Iterator[Upgrade | None]:
    """Merge a version of the template into a project; yield None where the project is of it already.

    Args:
        repository: of the project, with or without a working tree.
        template: opened.
        version: of the template; default: the branch that .cruft.json names, else the default one.
        branch: of the project.
        answers: that change, of the version that the project is of.

    Raises:
        UsageError: the project or the version cannot be used; the reason says it.
    """
    with TemporaryDirectory(prefix="upgrade-", dir=template.place) as temporary:
        place = Path(temporary)
        store = _Store(repository, place, branch)
        head = store.head
        origin = read_origin(lambda name: store.text(f"{head}:{name}"), repository)
        before = after = template.commit(origin.commit)
        template.need_answers(origin)
        followed = template.branch(origin.state.get("checkout"))
        if answers is not None:
            origin = replace(origin, skip=())  # what other answers change is wanted everywhere
            jobs = [(before, origin), (after, origin.answered(answers))]
            made = template.render(jobs[:1], place / "old")
            made += template.render(jobs[1:], place / "new", judged=True)
            title = f"Answers: {', '.join(f'{k} {v}' for k, v in answers.items())}"
        else:
            after = template.commit(version or followed)
            if before == after:
                yield None
                return
            if asked(template.repository, "merge-base", "--is-ancestor", after, before) is not None:
                raise UsageError(
                    f"the project is of {before[:8]} already, which is newer than {after[:8]}"
                )
            made = template.render([(before, origin), (after, origin)], place / "made")
            title = f"{TITLE} {before[:8]} to {after[:8]}"
        old, new = (store.tree_of(folder) for folder, _ in made)
        context = {**made[1][1], "_template": origin.state["template"], "_commit": after}
        # A version is no branch: who asks for one is not kept at it.
        moved = {"commit": after, "checkout": followed, "context": {"cookiecutter": context}}
        state = {**origin.state, **moved}
        news = tuple(template.news(before, after))
        yield _merge(store, origin, head, (old, new), state, (before, after, news, title))


def _merge(
    store: _Store,
    origin: Origin,
    head: str,
    trees: tuple[str, str],
    state: Mapping[str, object],
    about: tuple[str, str, tuple[str, ...], str],
) -> Upgrade:
    old, new, own = (store.entries(tree) for tree in (*trees, head))
    text = json.dumps(state, indent=2, ensure_ascii=False) + "\n"
    digest = store("hash-object", "-w", "--stdin", given=text).strip()
    own_state = own[STATE]
    kept = {
        path: "the team's own, by [tool.cruft] skip"
        for path in sorted({*old, *new})
        if origin.is_skipped(path) and old.get(path) != new.get(path)
    }
    # As the team has it on both sides, a file takes no part in the merge, and is nobody's renamed file.
    team = {path: own.get(path) for path in {*old, *new, *own} if origin.is_skipped(path)}
    sides = [{**team, STATE: own_state}, {**team, STATE: (own_state[0], digest)}]
    pins: dict[str, tuple[str, ...]] = {}
    while True:
        base, theirs = (store.changed(tree, side) for tree, side in zip(trees, sides, strict=True))
        start = store.commit(base, "What the template gave", [])
        ours = store.commit(store.head_tree, "What the team has", [start])
        message = "\n".join([about[3], "", *about[2][:MOST_NEWS]])
        change = store.commit(theirs, message, [start])
        tree, stages, said = store.merge(ours, change)
        gone = {
            path
            for paths, kind, _ in said
            if kind == DELETED
            for path in paths[:1]
            if stages.get(path, {}).keys() == {"1", "3"}
        }
        moved = {
            path: found
            for path, entries in stages.items()
            if path not in pins and entries.get("2") == own.get(path)
            if (found := store.settled(path, entries, old, own))
        }
        if not gone and not moved:
            break
        # As the team has it in the base, with the newer pins in the template's: so a pick of that has them, too.
        for path, (before, entry, settled) in moved.items():
            pins[path] = tuple(map(str, settled))
            for side, content in zip(sides, (own[path], entry), strict=True):
                side |= {before: None, path: content}
        # Deleted by the team: it stays so, and the template's change of it is told.
        kept |= dict.fromkeys(gone, "deleted here, changed by the template")
        for side in sides:
            side.update(dict.fromkeys(gone))
    conflicts = {
        path: " ".join(what.split())
        for paths, kind, what in said
        if kind.startswith(CONFLICT)
        for path in paths[:1]
    }
    conflicts |= {path: "changed on both sides" for path in stages if path not in conflicts}
    result = store.entries(tree)
    changes = [Change(path, "conflict", why) for path, why in conflicts.items()]
    changes += [Change(path, "kept", why) for path, why in kept.items()]
    for path, both in pins.items():
        is_new = own[path] != result.get(path)
        if both or is_new:
            why = listed(both, separator="; ")
            changes.append(Change(path, "merged" if is_new else "kept", why, both))
    for path in sorted({*own, *result} - {*conflicts, *pins, STATE}):
        if own.get(path) != result.get(path):
            is_auto = result.get(path) == new.get(path) and own.get(path) == old.get(path)
            why = "new" if path not in own else "deleted" if path not in result else ""
            changes.append(Change(path, "auto" if is_auto else "merged", why))
    commit = None if conflicts else store.commit(tree, message, [head])
    return Upgrade(*about, tuple(changes), head, tree, commit, change, store)


class _Store:
    """Git in a repository, with new objects in a folder of their own."""

    def __init__(self, repository: Path, place: Path, branch: str) -> None:
        self._place = place
        about = git(repository, "show", "-s", "--format=%H %T %cI", f"{branch}^{{commit}}", "--")
        self.head, self.head_tree, self._date = about.split()
        found = git(repository, "rev-parse", "--git-path", "objects", "--absolute-git-dir")
        objects, folder = found.splitlines()
        self.objects = (repository / objects).resolve()
        new = place / "objects"
        new.mkdir()
        (place / "attributes").write_text(ATTRIBUTES, encoding="utf-8")
        self._settings = {
            "GIT_DIR": folder,
            "GIT_OBJECT_DIRECTORY": str(new),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(self.objects),
            "GIT_INDEX_FILE": str(place / "index"),
        }

    def __call__(self, *words: str, given: str | None = None, **settings: str) -> str:
        codes = (0, 1) if "merge-tree" in words else (0,)
        settings = {**self._settings, **settings}
        return git(self._place, *words, settings=settings, given=given, codes=codes)

    def text(self, name: str) -> str | None:
        """Return a file of a commit; None where there is none."""
        return blob(self._place, name, self._settings)

    def tree_of(self, folder: Path) -> str:
        """Return the tree of a folder's files, by its own .gitattributes."""
        (self._place / "index").unlink(missing_ok=True)
        plain = ("-c", "core.autocrlf=false", "-c", "core.safecrlf=false", "-c", "core.bare=false")
        self(*plain, f"--work-tree={folder}", "-C", str(folder), "add", "--all", "--force", ".")
        return self("write-tree").strip()

    def entries(self, tree: str) -> Entries:
        """Return the files of a tree or a commit."""
        found: Entries = {}
        for line in self("ls-tree", "-r", "-z", tree).split("\0")[:-1]:
            about, _, path = line.partition("\t")
            mode, _, digest = about.split()
            found[path] = (mode, digest)
        return found

    def changed(self, tree: str, entries: Mapping[str, tuple[str, str] | None]) -> str:
        """Return a tree with other files in some places, or none there."""
        self("read-tree", tree)
        lines = [f"{mode} {digest}\t{path}\0" for path, (mode, digest) in
                 ((path, entry or ("0", NONE)) for path, entry in entries.items())]  # fmt: skip
        self("update-index", "-z", "--index-info", given="".join(lines))
        return self("write-tree").strip()

    def commit(self, tree: str, message: str, parents: list[str]) -> str:
        """Return a commit of a tree; the same call gives the same commit, at any time."""
        who = {
            f"GIT_{role}_{key}": value
            for role in ("AUTHOR", "COMMITTER")
            for key, value in (("NAME", "template"), ("EMAIL", MAIL), ("DATE", self._date))
        }
        words = [word for parent in parents for word in ("-p", parent)]
        return self("commit-tree", tree, *words, "-F", "-", given=message + "\n", **who).strip()

    def settled(
        self, path: str, entries: Entries, old: Entries, own: Entries
    ) -> tuple[str, tuple[str, str], list[Settled]] | None:
        """Merge a file in which both have changed pins.

        Args:
            path: where the team has it.
            entries: of the base, the team and the template, as git numbers them.
            old: what the template gave.
            own: what the team has.

        Returns:
            The file's place in the base, the merged file, and the pins that both have moved; None where
            it has other conflicts.
        """
        if len(entries) < 3 or len({mode for mode, _ in entries.values()}) > 1:
            return None
        places = [
            one for one in old if old[one] == entries["1"] and (one == path or one not in own)
        ]
        if len(places) != 1:
            return None
        files = [self._place / self("unpack-file", entries[one][1]).strip() for one in "123"]
        texts = [one.read_bytes().decode("utf-8", "surrogateescape") for one in files]
        new, found = settle(path, *texts)
        if new == tuple(texts):
            return None
        for file, text in zip(files, new, strict=True):
            file.write_bytes(text.encode("utf-8", "surrogateescape"))
        base, ours, theirs = map(str, files)
        try:
            self("merge-file", "-q", ours, base, theirs)
        except UsageError:
            return None
        digest = self("hash-object", "-w", "--no-filters", ours).strip()
        return places[0], (entries["2"][0], digest), found

    def merge(
        self, ours: str, theirs: str
    ) -> tuple[str, dict[str, Entries], list[tuple[list[str], str, str]]]:
        """Merge two commits.

        Returns:
            The tree, each file in conflict as the base (1), ours (2) and theirs (3) have it, and what was
            said: files, kind and message.
        """
        attributes = ("-c", f"core.attributesFile={self._place / 'attributes'}")
        command = ("merge-tree", "--write-tree", "-z", "--messages", ours, theirs)
        try:
            printed = self(*MERGE, *attributes, *command)
        except UsageError as error:
            raise UsageError(f"{error}\nAn update needs git 2.38 or newer") from None
        parts = printed.split("\0")
        tree, at = parts[0], 1
        stages: dict[str, Entries] = {}
        while at < len(parts) and parts[at]:
            about, _, path = parts[at].partition("\t")
            mode, digest, stage = about.split()
            stages.setdefault(path, {})[stage] = (mode, digest)
            at += 1
        at += 1
        said = []
        while at < len(parts) and parts[at].isdecimal():
            count = int(parts[at])
            paths = parts[at + 1 : at + 1 + count]
            said.append((paths, parts[at + 1 + count], parts[at + 2 + count]))
            at += count + 3
        return tree, stages, said
