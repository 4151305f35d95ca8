"""Deployment of infra/ with the Azure CLI; needs an Azure subscription and the permissions for it."""

from __future__ import annotations

import shutil
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

from modelyard.errors import CheckFailed, UsageError
from modelyard.files import parse_answer
from modelyard.infra import compiler
from modelyard.infra.before import answered, ask, check_before, switch
from modelyard.infra.compiler import Target
from modelyard.infra.left import left_behind
from modelyard.infra.teardown import carry_out, planned_teardown, purge, vaults_of
from modelyard.project import load_project
from modelyard.yaml_files import read_mapping


def deploy(
    root: Path,
    environment: str,
    *,
    what_if: bool = False,
    as_administrator: bool = False,
    confirm: str | None = None,
) -> None:
    """Deploy one environment, or show what a deployment would change.

    Who may deploy to prod is a matter of Azure's rights: no person has them, the pipeline's identity has.

    Args:
        root: of the project.
        environment: one of conf/project.yml.
        what_if: change nothing.
        as_administrator: create the resource group if it is missing, and deploy roles, policies and
            locks as well.
        confirm: the resource group's name; an administrator has to give it for prod.

    Raises:
        UsageError: the environment is unknown, prod is not confirmed, or the Azure CLI is not ready.
        CheckFailed: Azure refused the deployment, or would.
    """
    group = load_project(root).environment(environment).resource_group
    parameters = _parameters(root, environment)
    if environment == "prod" and as_administrator and not what_if and confirm != group:
        raise UsageError(
            f"to deploy roles, policies and locks to prod, confirm with the resource group's name, {group}"
        )
    azure, account = _azure()
    az = partial(ask, azure)
    there = answered(az, "group", "exists", "--name", group) is True
    if not there and not as_administrator:
        raise CheckFailed(
            f"{group} does not exist yet; a deployment as administrator creates it, with the roles that it needs"
        )
    here = _target(root, environment, azure, account)
    ready = check_before(
        az,
        parameters,
        here,
        exists=there,
        as_administrator=as_administrator,
        what_if=what_if,
        say=_say,
    )
    if not there and what_if:
        raise CheckFailed(
            f"{group} does not exist yet, so there is nothing to compare with; "
            "a deployment as administrator creates it"
        )
    if not there:
        _create_group(azure, root, environment, group)
    verb = "what-if" if what_if else "create"
    command = [azure, "deployment", "group", verb, "--name", f"infra-{environment}"]
    command += ["--resource-group", group, "--parameters", str(parameters)]
    command += ["--parameters", "asAdministrator=true"] if as_administrator else []
    for more in ready.parameters:
        command += ["--parameters", more]
    # Whoever may read may compare: rights to write are not asked for (since version 2.76 of the CLI).
    command += (
        ["--validation-level", "ProviderNoRbac"] if what_if else ["--query", "properties.outputs"]
    )
    _say(f"{'comparing with' if what_if else 'deploying to'} {group}")
    left = left_behind(az, parameters, here, _say) if there else []
    started = () if what_if else ready.triggers
    switch(az, started, "stop")
    try:
        done = subprocess.run(command, cwd=root, check=False)  # noqa: S603 (the installed Azure CLI)
    finally:
        switch(az, started, "start")
    if done.returncode:
        raise CheckFailed(
            f"Azure refused the deployment (exit code {done.returncode}); its reason is above"
        )
    if left:
        print("left as it was, since a deployment removes nothing:", *left, sep="\n- ", flush=True)


def deploy_events(root: Path, environment: str, package: Path) -> None:
    """Deploy the code of the function app, the zip file of events/.

    Raises:
        UsageError: the environment is unknown, or the Azure CLI is not ready.
        CheckFailed: Azure refuses it.
    """
    names = load_project(root).environment(environment)
    azure, _ = _azure()
    app = names.function_app
    words = ["functionapp", "deployment", "source", "config-zip", "--build-remote", "false"]
    words += ["--resource-group", names.resource_group, "--name", app, "--src", str(package)]
    _say(f"deploying events/ to {app}")
    done = subprocess.run([azure, *words], check=False)  # noqa: S603 (the installed Azure CLI)
    if done.returncode:
        raise CheckFailed(
            f"Azure refused the code of {app} (exit code {done.returncode}); its reason is above. With managed-vnet "
            "it is reached from its network only: docs/delivery.md, Runners in the network"
        )


def remove_left(root: Path, environment: str, *, apply: bool) -> int:
    """List what is in an environment and in no file any more, and with `apply` remove it; return how much is left.

    Raises:
        UsageError: see `deploy`.
        CheckFailed: Azure refuses to remove something, or to show it; the rest is removed.
    """
    load_project(root).environment(environment)
    azure, account = _azure()
    here = _target(root, environment, azure, account)
    parameters = _parameters(root, environment)
    unseen: list[str] = []
    left = left_behind(partial(ask, azure), parameters, here, unseen.append, outside=True)
    refused = []
    for line in unseen:
        _say(line)
    for one in left:
        _say(f"- {one}")
        if apply and (done := ask(azure, *one.words)).returncode:
            refused.append(f"{one}: {done.stderr.strip()}")
    if refused:
        raise CheckFailed(
            "Azure refuses; a lock holds what it is on (docs/infrastructure.md):\n"
            + "\n".join(refused)
        )
    if unseen:
        raise CheckFailed(
            "more may be left: not everything could be looked at, see above; "
            "sign in as an administrator of the group who reads the subscription too, and ask again"
        )
    return 0 if apply else len(left)


def tear_down(
    root: Path,
    environment: str,
    *,
    apply: bool = False,
    purge_vault: bool = False,
    confirm: str | None = None,
) -> None:
    """Say what a resource group holds and how it goes, or take it away.

    Args:
        root: of the project.
        environment: one of conf/project.yml.
        apply: False changes nothing.
        purge_vault: the deleted vault is deleted for good.
        confirm: the resource group's name; it has to be given for prod.

    Raises:
        UsageError: prod is not confirmed, or the vault cannot be deleted for good; see `deploy`.
        CheckFailed: Azure refuses a step; the locks are back, and another call goes on.
    """
    project = load_project(root)
    group = project.environment(environment).resource_group
    if environment == "prod" and apply and confirm != group:
        raise UsageError(
            f"to delete prod and all of its data, confirm with the resource group's name, {group}"
        )
    azure, _ = _azure()
    az = partial(ask, azure, timeout=None)
    plan, vaults = planned_teardown(az, group, project.name), vaults_of(az, group)
    if purge_vault and (kept := [one for one in vaults if one.is_protected]):
        raise UsageError("leave --purge-vault out: " + "; ".join(map(str, kept)))
    for line in plan.lines():
        _say(line)
    if apply:
        carry_out(az, plan, _say)
        vaults = vaults_of(az, group)
    if apply and purge_vault:
        purge(az, vaults, _say)
    else:
        for vault in vaults:
            _say(str(vault))


def _parameters(root: Path, environment: str) -> Path:
    parameters = root / "infra" / f"{environment}.bicepparam"
    if not parameters.is_file():
        raise UsageError(f"{parameters} does not exist; restore it from git")
    return parameters


def _target(root: Path, environment: str, azure: str, account: dict[str, Any]) -> Target:
    """Return where the files are evaluated for; the compiler is installed then."""
    _with_compiler(azure)
    project, nobody = load_project(root), compiler.NOBODY
    group, region = project.environments[environment].resource_group, project.region_of(environment)
    return Target(group, region, account.get("id", nobody), account.get("tenantId", nobody))


def azure_cli() -> str:
    """Return the path of the Azure CLI.

    Raises:
        UsageError: it is not installed.
    """
    azure = shutil.which("az")
    if azure is None:
        raise UsageError("the Azure CLI is not installed: https://aka.ms/azure-cli, then az login")
    return azure


def _azure() -> tuple[str, dict[str, Any]]:
    """Return the Azure CLI, and the account that it is signed in to."""
    azure = azure_cli()
    shown = ask(azure, "account", "show")
    if shown.returncode:
        raise UsageError("the Azure CLI is not signed in; az login, then az account set")
    return azure, parse_answer(shown.stdout, "az", "account", "show") or {}


def _with_compiler(azure: str) -> None:
    """Install the Bicep compiler where there is none, as a deployment would, but the version that is checked with."""
    if compiler.compiler() is not None:
        return
    _say(f"installing the Bicep compiler: {compiler.INSTALL}")
    done = ask(azure, *compiler.INSTALL.split()[1:])
    if done.returncode or compiler.compiler() is None:
        raise CheckFailed(f"{compiler.INSTALL} failed: {done.stderr.strip()}")


def _create_group(azure: str, root: Path, environment: str, group: str) -> None:
    given = read_mapping(root / "conf" / "project.yml")
    # As main.bicep gives them to every resource.
    tags = {"cost_center": given["organization"], **given["tags"], "environment": environment}
    region = load_project(root).region_of(environment)
    words = ["group", "create", "--name", group, "--location", region, "--tags"]
    done = ask(azure, *words, *(f"{name}={value}" for name, value in tags.items()))
    if done.returncode:
        raise CheckFailed(f"{group} cannot be created: {done.stderr.strip()}")
    made = parse_answer(done.stdout, "az", *words[:4]) or {}
    _say(f"created {made.get('id', group)}")


def _say(line: str) -> None:
    print(line, flush=True)
