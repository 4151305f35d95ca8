"""What the infrastructure of a project promises: who reaches what, who may do what, what a deployment survives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bicep_reader.deployment import Deployed
from bicep_reader.evaluate import evaluate
from bicep_reader.tree import Call, Object, walk
from modelyard.infra.costs import INSTANCES, costs_of

from tests.bicep import plan
from tests.infra.deployed import (
    INFRA,
    SUBJECT,
    organization_roles,
    refusals,
    resources,
    rights,
    written,
)

ENVIRONMENTS = ("dev", "test", "prod")
NETWORKS = ("public", "managed-vnet")
ASSIGNMENT = "Microsoft.Authorization/roleAssignments"
STORAGE = "Microsoft.Storage/storageAccounts"


def one(environment: str, kind: str, symbol: str, **given: Any) -> Deployed:
    (found,) = [r for r in resources(environment, kind, **given) if r.declared.symbol == symbol]
    return found


# --- the network ---


def test_a_laptop_and_a_runner_reach_the_storage_of_a_public_workspace_by_identity_only() -> None:
    account = one("dev", STORAGE, "account", network="public").value("properties")
    assert account["publicNetworkAccess"] == "Enabled"
    assert account["networkAcls"]["defaultAction"] == "Allow"
    assert account["allowSharedKeyAccess"] is False
    assert account["allowBlobPublicAccess"] is False


def test_allowed_ranges_narrow_a_public_storage() -> None:
    given = {"network": "public", "allowedIpRanges": ["198.51.100.0/24"]}
    rules = one("dev", STORAGE, "account", **given).value("properties", "networkAcls")
    assert rules["defaultAction"] == "Deny"
    assert [rule["value"] for rule in rules["ipRules"]] == ["198.51.100.0/24"]


@pytest.mark.parametrize("ranges", [[], ["198.51.100.0/24"]])
def test_a_private_storage_is_closed_whatever_ranges_are_given(ranges: list[str]) -> None:
    given = {"network": "managed-vnet", "allowedIpRanges": ranges}
    account = one("dev", STORAGE, "account", **given).value("properties")
    assert account["publicNetworkAccess"] == "Disabled"
    assert account["networkAcls"]["defaultAction"] == "Deny"
    assert account["networkAcls"]["ipRules"] == []


def test_runners_have_a_subnet_with_a_way_out_where_services_are_private() -> None:
    subnets = "Microsoft.Network/virtualNetworks/subnets"
    names = {
        network: [s.value("name") for s in resources("dev", subnets, network=network)]
        for network in NETWORKS
    }
    assert names == {
        "public": ["endpoints", "functions"],
        "managed-vnet": ["endpoints", "functions", "runners"],
    }
    runners = one("dev", subnets, "runners", network="managed-vnet")
    assert runners.declared.body.value("properties").value("natGateway") is not None
    assert runners.value("properties", "addressPrefix") == "10.20.0.128/26"


def test_a_deployment_leaves_subnets_alone_that_somebody_else_added() -> None:
    for network in resources("dev", "Microsoft.Network/virtualNetworks"):
        assert "subnets" not in network.value("properties")


# --- images ---


def test_images_of_a_private_registry_are_built_on_a_cluster_that_may_push_them() -> None:
    given = {"network": "managed-vnet"}
    workspace = one("dev", "Microsoft.MachineLearningServices/workspaces", "workspace", **given)
    clusters = {
        c.value("name"): c.value("properties", "properties")
        for c in resources("dev", "Microsoft.MachineLearningServices/workspaces/computes", **given)
    }
    builder = workspace.value("properties", "imageBuildCompute")
    assert set(clusters) == {"cpu-cluster", builder}
    assert clusters[builder]["scaleSettings"]["minNodeCount"] == 0
    pushes = [symbol for symbol, role, _ in rights("dev", **given) if role == "AcrPush"]
    assert pushes == ["buildInContainerRegistry"]


def test_azure_builds_images_where_it_reaches_the_registry() -> None:
    given = {"network": "public"}
    workspace = one("dev", "Microsoft.MachineLearningServices/workspaces", "workspace", **given)
    assert workspace.value("properties", "imageBuildCompute") is None
    assert not [symbol for symbol, role, _ in rights("dev", **given) if role == "AcrPush"]


def test_the_studio_reaches_the_storage_and_a_way_back_has_its_images() -> None:
    (blobs,) = [
        r
        for r in plan(INFRA / "prod.bicepparam", network="public")
        if r.type.endswith("/blobServices") and not str(r.name).startswith("stevents")
    ]
    assert "https://ml.azure.com" in blobs.each("properties.cors.corsRules.allowedOrigins")
    kind = "Microsoft.ContainerRegistry/registries"
    kept = one("prod", kind, "registry").value("properties", "policies", "retentionPolicy")
    assert kept == {"days": 365, "status": "enabled"}


# --- events ---


def test_the_function_app_may_give_a_message_back() -> None:
    held = {(role, scope) for _, role, scope in rights("dev", principal="eventsPrincipalId")}
    assert ("Storage Queue Data Contributor", "eventStorage") in held


@pytest.mark.parametrize("administrator", [False, True])
def test_events_are_subscribed_to_with_the_roles_that_they_need(administrator: bool) -> None:
    kind = "Microsoft.EventGrid/systemTopics/eventSubscriptions"
    names = {s.value("name") for s in resources("dev", kind, asAdministrator=administrator)}
    assert names == (
        {"model-registered", "run-failed", "monitor-breached"} if administrator else set()
    )


def test_ci_writes_the_code_of_the_events_and_not_their_ledger() -> None:
    scopes = {
        scope for _, role, scope in rights("dev", principal="ciPrincipalId") if "Blob" in role
    }
    assert scopes == {"storage", "functionCode"}


def test_nobody_turns_keys_of_storage_on_again() -> None:
    policy = one("dev", "Microsoft.Authorization/policyAssignments", "noKeys")
    assert policy.value("properties", "policyDefinitionId").endswith(
        "8c6a50c6-9ffd-4ae7-986f-5fa6111f9a54"
    )
    assert policy.value("properties", "parameters") == {"effect": {"value": "Deny"}}


@pytest.mark.parametrize("roles_of", ["", "acme"])
def test_jobs_of_prod_retrain_in_dev_with_the_rights_of_jobs_there(roles_of: str) -> None:
    given = {"retrainerPrincipalId": "jobs-of-prod", "rolesOf": roles_of}
    assert not rights("dev", principal="retrainerPrincipalId")
    held = {symbol: scope for symbol, _, scope in rights("dev", "retrainerPrincipalId", **given)}
    assert held == {
        "retrainerInWorkspace": "workspace",
        "retrainerStartsJobs": "workspace",
        "retrainerInStorage": "storage",
    }
    roles = {
        principal: {one.value("properties", "roleDefinitionId") for one in found}
        for principal in ("retrainerPrincipalId", "trainingPrincipalId")
        if (
            found := [
                r
                for r in resources("dev", ASSIGNMENT, **given)
                if written(r.declared.body.value("properties").value("principalId")) == principal  # type: ignore[union-attr]
            ]
        )
    }
    assert roles["retrainerPrincipalId"] < roles["trainingPrincipalId"]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_nobody_retrains_elsewhere_than_in_dev(tmp_path: Path, environment: str) -> None:
    said = refusals(tmp_path, environment, {"retrainerPrincipalId": "jobs-of-prod"})
    assert bool(said) is (environment != "dev")


# --- pipelines ---

GITHUB = {"ciProvider": "github-actions", "ciIssuer": ""}
CREDENTIAL = "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials"


@pytest.mark.parametrize("owner", ["acme/flight-delay", "acme@123/flight-delay@456"])
def test_a_pull_request_signs_in_as_an_identity_that_reads(owner: str) -> None:
    given = GITHUB | {"ciSubject": f"repo:{owner}:environment:dev"}
    subjects = {
        c.declared.symbol: c.value("properties", "subject")
        for c in resources("dev", CREDENTIAL, **given)
    }
    assert subjects == {
        "ciCredential": f"repo:{owner}:environment:dev",
        "ciReaderCredential": f"repo:{owner}:pull_request",
    }
    held = {role for _, role, _ in rights("dev", principal="ciReaderPrincipalId")}
    assert held == {"Reader", "whatIfRole"}


def test_without_a_subject_nobody_signs_in() -> None:
    assert not list(resources("dev", CREDENTIAL, **GITHUB, ciSubject=""))


@pytest.mark.parametrize(
    ("subject", "reader", "issuer", "refused"),
    [
        ("", "", "", False),
        ("sc://a/b/c", "", "https://login.example/v2.0", False),
        ("sc://a/b/c", "sc://a/b/d", "https://login.example/v2.0", False),
        ("sc://a/b/c", "", "", True),
        ("", "sc://a/b/d", "", True),
        ("", "", "https://login.example/v2.0", True),
    ],
)
def test_a_subject_without_an_issuer_is_refused_and_the_other_way_round(
    tmp_path: Path, subject: str, reader: str, issuer: str, refused: bool
) -> None:
    given = {
        "ciProvider": "azure-devops",
        "ciSubject": subject,
        "ciReaderSubject": reader,
        "ciIssuer": issuer,
    }
    said = refusals(tmp_path, "dev", given)
    assert bool(said) is refused
    assert all("ciSubject and ciIssuer both" in one for one in said)


def test_github_needs_no_issuer(tmp_path: Path) -> None:
    assert not refusals(tmp_path, "dev", GITHUB | {"ciSubject": SUBJECT})


@pytest.mark.parametrize(
    "subject",
    [
        "acme/flight-delay:environment:dev",
        "repo:acme/flight-delay:ref:refs/heads/main",
        "repo:acme:environment:dev",
        "repo:acme@123/flight-delay:environment:dev",
        "repo:acme/flight-delay:environment:prod",
        "repo:acme/flight-delay:environment:dev2",
    ],
)
def test_a_subject_of_neither_form_of_github_or_of_another_environment_is_refused(
    tmp_path: Path, subject: str
) -> None:
    (said,) = refusals(tmp_path, "dev", GITHUB | {"ciSubject": subject})
    assert "Give ciSubject as GitHub shows it" in said
    assert "repo:OWNER/REPOSITORY:environment:dev" in said


def test_a_group_of_an_unknown_persona_is_refused(tmp_path: Path) -> None:
    (said,) = refusals(tmp_path, "dev", {"groups": {"dataScientist": "x"}})
    assert "Give groups by persona: domainExperts" in said
    assert not refusals(tmp_path / "some", "dev", {"groups": {"dataScientists": "x"}})


# --- a second deployment ---

MASKED = {
    "productionData": "masked-replica",
    "maskedColumns": ["tailnum"],
    "replicaStorageId": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/dev",
}


def test_a_factory_that_is_made_anew_gets_its_role() -> None:
    reads = one("prod", ASSIGNMENT, "reads", **MASKED)
    name = reads.declared.body.value("name")
    assert name is not None
    assert "principalId" in {written(argument) for argument in name.arguments}  # type: ignore[union-attr]


def test_a_managed_endpoint_with_a_new_target_has_a_new_name() -> None:
    kind = "Microsoft.DataFactory/factories/managedVirtualNetworks/managedPrivateEndpoints"
    for endpoint in resources("prod", kind, **MASKED):
        target = endpoint.declared.body.value("properties").value("privateLinkResourceId")  # type: ignore[union-attr]
        names = endpoint.declared.body.value("name")
        held = [
            written(a) for part in names.parts if not isinstance(part, str) for a in part.arguments
        ]  # type: ignore[union-attr]
        assert held == [written(target)]


def test_role_names_differ_between_groups_of_the_same_name() -> None:
    for role in resources("dev", "Microsoft.Authorization/roleDefinitions"):
        name = role.declared.body.value("properties").value("roleName")  # type: ignore[union-attr]
        calls = [p for p in name.parts if not isinstance(p, str)]  # type: ignore[union-attr]
        assert "uniqueString" in {getattr(p, "function", "") for p in calls}


def test_both_who_write_the_tags_of_the_group_keep_the_budgets_month() -> None:
    for writer in resources("dev", "Microsoft.Resources/tags"):
        tags = writer.declared.body.value("properties").value("tags")  # type: ignore[union-attr]
        given = writer.scope.given.get("tags")
        starts = {"budget_start"} & set(given if isinstance(given, dict) else {})
        starts |= {p.key for n in walk(tags) if isinstance(n, Object) for p in n.properties}  # type: ignore[arg-type]
        assert "budget_start" in starts, writer.declared.place


# --- the studio, the vault, scale, alerts ---


@pytest.mark.parametrize(("network", "found"), [("public", 0), ("managed-vnet", 2)])
def test_the_workspace_finds_the_private_endpoints_of_its_storage(network: str, found: int) -> None:
    held = [
        role
        for symbol, role, _ in rights("dev", network=network)
        if symbol == "workspaceAtEndpoints"
    ]
    assert held == ["Reader"] * found


def test_dev_can_be_torn_down_for_good_and_prod_cannot() -> None:
    kept = {
        e: one(e, "Microsoft.KeyVault/vaults", "vault").value("properties", "enablePurgeProtection")
        for e in ENVIRONMENTS
    }
    assert kept == {"dev": None, "test": True, "prod": True}


@pytest.mark.parametrize(("recover", "mode"), [(False, "default"), (True, "recover")])
def test_a_deleted_vault_comes_back(recover: bool, mode: str) -> None:
    vault = one("dev", "Microsoft.KeyVault/vaults", "vault", recoverVault=recover)
    assert vault.value("properties", "createMode") == mode


@pytest.mark.parametrize(("chosen", "azure"), [("Dedicated", "Dedicated"), ("Spot", "LowPriority")])
def test_spot_is_a_choice_that_says_what_it_is(chosen: str, azure: str) -> None:
    cluster = one(
        "dev",
        "Microsoft.MachineLearningServices/workspaces/computes",
        "cluster",
        clusterPriority=chosen,
    )
    assert cluster.value("properties", "properties", "vmPriority") == azure


def test_nodes_of_dev_stay_unless_somebody_chooses_otherwise() -> None:
    cluster = one("dev", "Microsoft.MachineLearningServices/workspaces/computes", "cluster")
    assert cluster.value("properties", "properties", "vmPriority") == "Dedicated"


def test_every_way_out_of_the_autoscale_has_its_way_in() -> None:
    text = (INFRA / "modules" / "deployment-rules.json").read_text(encoding="utf-8")
    (setting,) = (one for path, one in json.loads(text).items() if "autoscale" in path)
    (profile,) = setting["properties"]["profiles"]
    rules = profile["rules"]
    ways: dict[str, set[str]] = {"Increase": set(), "Decrease": set()}
    for rule in rules:
        ways[rule["scaleAction"]["direction"]].add(rule["metricTrigger"]["metricName"])
    assert ways["Increase"] == ways["Decrease"] != set()


@pytest.mark.parametrize(
    "module", ["alerts.bicep", "endpoint-alerts.bicep", "deployment-rules.json"]
)
def test_alerts_wait_for_metrics_that_nothing_has_sent_yet(module: str) -> None:
    text = (INFRA / "modules" / module).read_text(encoding="utf-8").replace('"', "")
    assert text.count("skipMetricValidation: true") == text.count("criterionType:") > 0


def test_a_query_over_tables_that_may_not_exist_does_not_fail() -> None:
    for file in (INFRA / "modules").glob("*.bicep"):
        for line in file.read_text(encoding="utf-8").splitlines():
            assert "'union " not in line or "'union isfuzzy=true " in line, (file.name, line)


def test_the_copy_that_looks_at_its_metrics_has_them() -> None:
    (copy,) = resources("prod", "Microsoft.DataFactory/factories/pipelines", **MASKED)
    mask, copied = copy.value("properties", "activities")
    assert "metrics" in copied["typeProperties"]["expression"]["value"]
    assert mask["typeProperties"]["traceLevel"] != "None"


# --- an organization ---

DEFINITION = "Microsoft.Authorization/roleDefinitions"


def guids(one: Deployed, *path: str) -> list[list[Any]]:
    """Return the arguments of every guid() in a property, evaluated."""
    node: Any = one.declared.body
    for key in path:
        node = node.value(key)
    calls = [n for n in walk(node) if isinstance(n, Call) and n.function == "guid"]
    return [[evaluate(argument, one.scope) for argument in call.arguments] for call in calls]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_project_alone_defines_its_roles_and_one_of_an_organization_assigns_those_there(
    environment: str,
) -> None:
    alone = resources(environment, DEFINITION)
    assert len(alone) == 9
    assert not resources(environment, DEFINITION, rolesOf="acme")
    there = [
        tuple(name)
        for role in organization_roles()
        for name in guids(role, "name")
        if environment in name
    ]
    assert len(there) == len(set(there)) == 9
    assigned = {
        tuple(name)
        for assignment in resources(environment, ASSIGNMENT, rolesOf="acme")
        for name in guids(assignment, "properties", "roleDefinitionId")
    }
    assert assigned == set(there)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_no_role_of_an_organization_is_wider_than_that_of_a_project(environment: str) -> None:
    def operations(roles: list[Deployed]) -> list[tuple[frozenset[str], frozenset[str]]]:
        permissions = [role.value("properties", "permissions")[0] for role in roles]
        return sorted(
            ((frozenset(p["actions"]), frozenset(p["dataActions"])) for p in permissions),
            key=lambda pair: sorted(map(sorted, pair)),
        )

    shared = [
        role for role in organization_roles() if role.scope.given["environment"] == environment
    ]
    assert operations(shared) == operations(resources(environment, DEFINITION))
    assert all("*" not in one for pair in operations(shared) for part in pair for one in part)


def test_a_subscription_that_is_named_twice_is_one_scope_of_the_roles() -> None:
    other, own = "1" * 8, "00000000-0000-0000-0000-000000000000"
    for role in plan(INFRA / "organization.bicepparam", otherSubscriptions=[own, other, other]):
        scopes = role.value("properties.assignableScopes")
        assert scopes == [f"/subscriptions/{own}", f"/subscriptions/{other}"]


def test_roles_of_an_organization_are_held_to_the_projects_own_storage() -> None:
    for assignment in resources("prod", ASSIGNMENT, rolesOf="acme"):
        if assignment.declared.symbol == "assignment":
            data = assignment.scope.given["persona"]["dataActions"]
            condition = assignment.value("properties", "condition")
            assert bool(data["everywhere"] + data["prod"]) is (condition is not None)


def test_another_role_under_the_same_assignment_is_another_assignment() -> None:
    for assignment in resources("dev", ASSIGNMENT, rolesOf="acme"):
        if guids(assignment, "properties", "roleDefinitionId"):
            assert [a for name in guids(assignment, "name") for a in name if a == "acme"] == [
                "acme"
            ]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_what_an_environment_costs_at_rest_is_within_its_budget(environment: str) -> None:
    file = INFRA / f"{environment}.bicepparam"
    at_rest = sum(costs_of(plan(file, network="public")).values())
    at_rest += INSTANCES["standard_d4as_v4"]
    (budget, _) = resources(environment, "Microsoft.Consumption/budgets")
    assert at_rest < budget.value("properties", "amount")


# --- the endpoint, the logs ---

ENDPOINT = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints"


def test_the_endpoint_is_watched_by_the_deployment_of_its_environment() -> None:
    rules = ("Microsoft.Insights/metricAlerts", "Microsoft.Insights/scheduledQueryRules")
    names = {str(one.value("name")) for one in resources("prod", *rules)}
    endpoint = "acme-flight-delay-prod"
    watched = {f"{endpoint}-{one}" for one in ("slow", "refusing", "not-collecting", "failing")}
    assert watched <= names
    assert not watched & {
        str(one.value("name")) for one in resources("prod", *rules, onlineScoring=False)
    }
    logs = [
        one
        for one in resources("prod", "Microsoft.Insights/diagnosticSettings")
        if "AmlOnlineEndpointTrafficLog" in str(one.value("properties", "logs"))
    ]
    assert len(logs) == 1


def test_an_endpoint_is_made_once_with_its_identity_and_never_again() -> None:
    assert not resources("dev", ENDPOINT)
    assert not resources("dev", ENDPOINT, makeEndpoint=True, onlineScoring=False)
    (endpoint,) = resources("dev", ENDPOINT, makeEndpoint=True, network="managed-vnet")
    assert endpoint.value("name") == "acme-flight-delay-dev"
    assert endpoint.value("identity", "type") == "UserAssigned"
    assert endpoint.value("properties", "authMode") == "AADToken"
    assert endpoint.value("properties", "publicNetworkAccess") == "Disabled"


@pytest.mark.parametrize(
    ("environment", "reads"), [("dev", False), ("test", False), ("prod", True)]
)
def test_who_read_is_logged_where_data_is_protected(environment: str, reads: bool) -> None:
    kind = "Microsoft.Insights/diagnosticSettings"
    categories: dict[str, set[str]] = {}
    for setting in resources(environment, kind):
        if setting.declared.place.file.name in ("storage.bicep", "event-storage.bicep"):
            logs = setting.value("properties", "logs") or []
            categories.setdefault(setting.declared.symbol, set()).update(
                one["category"] for one in logs
            )
    assert ("StorageRead" in categories["blobDiagnostics"]) is reads
    assert "StorageRead" not in categories["queueLogs"] | categories["blobLogs"]
    assert all(
        {"StorageWrite", "StorageDelete"} <= c
        for s, c in categories.items()
        if s != "accountDiagnostics"
    )


def test_logs_have_a_daily_limit_and_an_alert_that_tells_of_it() -> None:
    logs = one("dev", "Microsoft.OperationalInsights/workspaces", "logs")
    assert logs.value("properties", "workspaceCapping", "dailyQuotaGb") == 1
    rules = resources("dev", "Microsoft.Insights/scheduledQueryRules")
    queries = [rule.value("properties", "criteria", "allOf")[0]["query"] for rule in rules]
    assert any("OverQuota" in str(query) for query in queries)
