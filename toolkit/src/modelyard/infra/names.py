"""Names of resources and tags compared with Azure's limits."""

from __future__ import annotations

import re
from collections.abc import Iterator

from modelyard.infra.snapshot import Planned, is_expression

CHECK = "names of resources"
# Azure's rules for names that its types do not have, as regular expressions of the whole name.
LIMITS = {
    "microsoft.storage/storageaccounts": r"[a-z0-9]{3,24}",
    "microsoft.storage/storageaccounts/blobservices/containers": r"\$?[a-z0-9](-?[a-z0-9]){2,62}",
    "microsoft.storage/storageaccounts/queueservices/queues": r"[a-z0-9](-?[a-z0-9]){2,62}",
    "microsoft.keyvault/vaults": r"(?=.{3,24}$)[a-zA-Z](-?[a-zA-Z0-9])+",
    "microsoft.containerregistry/registries": r"[a-zA-Z0-9]{5,50}",
    "microsoft.machinelearningservices/workspaces": r"[a-zA-Z0-9][a-zA-Z0-9_-]{2,32}",
    "microsoft.machinelearningservices/registries": r"[a-zA-Z0-9][a-zA-Z0-9_-]{2,32}",
    "microsoft.machinelearningservices/workspaces/computes": r"(?!.*-\d+$)[a-zA-Z][a-zA-Z0-9-]{1,30}[a-zA-Z0-9]",
    "microsoft.machinelearningservices/workspaces/onlineendpoints": r"[a-zA-Z][a-zA-Z0-9-]{1,30}[a-zA-Z0-9]",
    "microsoft.managedidentity/userassignedidentities": r"[a-zA-Z0-9][a-zA-Z0-9_-]{2,127}",
    "microsoft.managedidentity/userassignedidentities/federatedidentitycredentials": r"[a-zA-Z0-9][a-zA-Z0-9_-]{2,119}",
    "microsoft.operationalinsights/workspaces": r"[a-zA-Z0-9][a-zA-Z0-9-]{2,61}[a-zA-Z0-9]",
    "microsoft.insights/components": r"[^%&\\?/]{0,259}[^%&\\?/. ]",
    "microsoft.insights/actiongroups": r"[^:<>+/&%\\?]{0,259}[^:<>+/&%\\?. ]",
    "microsoft.insights/metricalerts": r"[^*#&+:<>?@%{}\\/|]{0,259}[^*#&+:<>?@%{}\\/|. ]",
    "microsoft.insights/scheduledqueryrules": r"[^*<>%{}&:\\?/#|]{0,259}[^*<>%{}&:\\?/#|. ]",
    "microsoft.network/virtualnetworks": r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}[a-zA-Z0-9_]",
    "microsoft.network/virtualnetworks/subnets": r"[a-zA-Z0-9]([a-zA-Z0-9._-]{0,78}[a-zA-Z0-9_])?",
    "microsoft.network/networksecuritygroups": r"[a-zA-Z0-9]([a-zA-Z0-9._-]{0,78}[a-zA-Z0-9_])?",
    "microsoft.network/privateendpoints": r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}[a-zA-Z0-9_]",
    "microsoft.eventgrid/systemtopics": r"[a-zA-Z0-9-]{3,128}",
    "microsoft.eventgrid/systemtopics/eventsubscriptions": r"[a-zA-Z0-9-]{3,64}",
    "microsoft.web/serverfarms": r"[a-zA-Z0-9-]{1,60}",
    "microsoft.web/sites": r"[a-zA-Z0-9][a-zA-Z0-9-]{0,58}[a-zA-Z0-9]",
    "microsoft.consumption/budgets": r"[a-zA-Z0-9_-]{1,63}",
    "microsoft.datafactory/factories": r"[a-zA-Z0-9](-?[a-zA-Z0-9]){2,62}",
    "microsoft.authorization/locks": r"[a-zA-Z0-9._()-]{0,89}[a-zA-Z0-9_()-]",
}

# Tags that a resource has, and characters of the name of one: of these types, and of all others.
TAGS = {
    "microsoft.network/privatednszones": (15, 512),
    "microsoft.network/privatednszones/virtualnetworklinks": (15, 512),
    "microsoft.storage/storageaccounts": (50, 128),
}
TAGS_OF_OTHERS = (50, 512)
VALUE = 256  # characters


def check(one: Planned) -> Iterator[tuple[str, str, str]]:
    """Yield rule, fault and remedy where a name or a tag is not one that Azure takes."""
    limit = LIMITS.get(one.kind)
    own = one.name.rpartition("/")[2] if one.name else None
    if limit and own is not None and not re.fullmatch(limit, own):
        what = f"its name '{own}' has {len(own)} characters or one that Azure does not take"
        yield "names", what, f"a name of {one.type} matches {limit}: shorten or correct its parts"
    yield from (("tag", what, remedy) for what, remedy in _tags(one))


def _tags(one: Planned) -> Iterator[tuple[str, str]]:
    tags = one.value("tags") or {}
    most, longest = TAGS.get(one.kind, TAGS_OF_OTHERS)
    if len(tags) > most:
        yield f"it has {len(tags)} tags", f"give it {most} at most: conf/project.yml has them"
    if len({name.lower() for name in tags}) < len(tags):
        yield "two of its tags differ in capitals only", "leave one out: Azure takes them for one"
    for name, value in tags.items():
        if len(name) > longest or re.search(r"[<>%&\\?/]", name):
            remedy = f"Azure takes {longest} characters and none of < > % & \\ ? /"
            yield (
                f"its tag '{name}' is too long or has a character that Azure does not take",
                remedy,
            )
        if not is_expression(value) and len(str(value)) > VALUE:
            what = f"the value of its tag {name} has {len(value)} characters"
            yield what, f"shorten it to {VALUE}"
