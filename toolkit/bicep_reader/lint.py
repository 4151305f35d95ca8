"""Names, declarations and style: the compiler's and the linter's rules without the compiler.

infra/bicepconfig.json sets the same rules for the compiler's linter.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter

from modelyard.infra.findings import Finding, Place

from bicep_reader.kinds import Symbols, kind_of_expression
from bicep_reader.sources import Sources
from bicep_reader.tree import (
    Array,
    BicepFile,
    Call,
    Expr,
    For,
    Index,
    Literal,
    Member,
    Name,
    Object,
    Other,
    Output,
    Parameter,
    Resource,
    Text,
    children,
    walk,
)

CHECK = "names and style"
_FUNCTIONS = """
    any array base64 base64ToJson base64ToString bool buildUri cidrHost cidrSubnet coalesce concat
    contains createArray createObject dataUri dataUriToString dateTimeAdd dateTimeFromEpoch
    dateTimeToEpoch deployer deployment empty endsWith environment extensionResourceId externalInput
    fail filter first flatten format getSecret groupBy guid indexOf int intersection items join json
    last lastIndexOf length list loadDirectoryFileInfo loadFileAsBase64 loadJsonContent
    loadTextContent loadYamlContent managementGroup managementGroupResourceId map mapValues max min
    newGuid objectKeys padLeft parseCidr parseUri pickZones providers range
    readEnvironmentVariable reduce reference replace resourceGroup resourceId resourceInput
    roleDefinitions shallowMerge skip sort split startsWith string subscription subscriptionResourceId substring take tenant
    tenantResourceId toLogicalZone toLogicalZones toLower toObject toPhysicalZone toPhysicalZones
    toUpper trim tryGet union uniqueString uri uriComponent uriComponentToString utcNow
"""
FUNCTIONS = frozenset(_FUNCTIONS.split())
_DECORATORS = """
    allowed batchSize description discriminator export maxLength maxValue metadata minLength
    minValue onlyIfNotExists retryOn sealed secure userDefinedConstraint validate waitUntil
"""
DECORATORS = frozenset(_DECORATORS.split())
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
ONLY_AS_DEFAULT = {"utcNow", "newGuid"}
NAMESPACES = {"az", "sys"}
TYPES = {"string", "int", "bool", "object", "array", "any", "null", "resourceInput"}
# Hosts that differ between Azure's clouds; `az.environment()` has them.
CLOUD_HOSTS = re.compile(
    r"(?<![\w-])(management\.azure\.com|management\.core\.windows\.net|core\.windows\.net"
    r"|database\.windows\.net|login\.microsoftonline\.com|graph\.windows\.net|gallery\.azure\.com"
    r"|trafficmanager\.net|vault\.azure\.net|azuredatalakestore\.net|azuredatalakeanalytics\.net"
    r"|api\.loganalytics\.io|asazure\.windows\.net|batch\.core\.windows\.net)"
)


def check(sources: Sources) -> Iterator[Finding]:
    """Check every file."""
    for file in sources.bicep:
        symbols = Symbols(file, sources.called)
        yield from _names(file)
        yield from _unused(file)
        yield from _described(file)
        yield from _declared_kinds(file, symbols)
        yield from _cycles(file)
        yield from _redundant(file)
        for expression in file.expressions:
            yield from _style(expression)
        yield from _locations(file)
    for file in sources.files.values():
        for expression in file.expressions or [v.value for v in file.assigned.values()]:
            yield from _duplicate_keys(expression)


def _known(file: BicepFile) -> set[str]:
    resources = {r.symbol for r in file.every_resource()}
    return {*file.parameters, *file.variables, *file.modules, *file.types, *resources, *NAMESPACES}


def _names(file: BicepFile) -> Iterator[Finding]:
    known = _known(file)
    for declared in file.deployments():
        names = set(known)
        enclosing = declared.enclosing() if isinstance(declared, Resource) else ()
        for one in (declared, *enclosing):
            names.update(one.loop.variables if one.loop else ())
        yield from _unknown(declared.body, names)
        if declared.condition:
            yield from _unknown(declared.condition, names)
        if declared.loop:
            yield from _unknown(declared.loop.over, known)
    for expression in [v.value for v in file.variables.values()] + [
        o.value for o in file.outputs.values()
    ]:
        yield from _unknown(expression, known)
    for parameter in file.parameters.values():
        if parameter.default is not None:
            yield from _unknown(parameter.default, known, default=True)
        for decorator in parameter.decorators:
            if decorator.function not in DECORATORS:
                what = f"there is no decorator @{decorator.function}"
                yield Finding(decorator.place, what, "remove it, or correct the name", CHECK)
        base = parameter.type.text.rstrip("?").removesuffix("[]")
        if re.fullmatch(r"\w+", base) and base not in TYPES | set(file.types):
            what = f"parameter `{parameter.name}` has the unknown type {base}"
            yield Finding(parameter.place, what, f"take one of {', '.join(sorted(TYPES))}", CHECK)


def _unknown(node: Expr, known: set[str], *, default: bool = False) -> Iterator[Finding]:
    """Check for undeclared names and functions."""
    match node:
        case Name(name=name) if name not in known:
            yield Finding(
                node.place,
                f"the name `{name}` is not declared",
                "declare it, or correct the name",
                CHECK,
            )
        case Other(kind="lambda_expression" | "member_expression" | "ERROR"):
            return
        case Call(function=function, of=None) if function not in FUNCTIONS:
            yield Finding(
                node.place, f"there is no function {function}()", "correct the name", CHECK
            )
        case Call(function=function, of=None) if function in ONLY_AS_DEFAULT and not default:
            what = f"{function}() outside a parameter's default"
            yield Finding(node.place, what, "make it the default of a parameter", CHECK)
        case For(variables=variables, over=over, body=body, condition=condition):
            yield from _unknown(over, known, default=default)
            for inner in (body, condition):
                if inner is not None:
                    yield from _unknown(inner, known | set(variables), default=default)
            return
        case _:
            pass
    if any(isinstance(x, Other) and x.kind == "lambda_expression" for x in walk(node)):
        return
    for child in children(node):
        yield from _unknown(child, known, default=default)


def _unused(file: BicepFile) -> Iterator[Finding]:
    used = {n.name for e in file.expressions for n in walk(e) if isinstance(n, Name)}
    places = [("parameter", name, one.place) for name, one in file.parameters.items()]
    places += [("variable", name, one.place) for name, one in file.variables.items()]
    for kind, name, place in places:
        if name not in used:
            yield Finding(place, f"{kind} `{name}` is not used", "remove it, or use it", CHECK)
    parents = {r.inside.symbol for r in file.every_resource() if r.inside}
    for resource in file.every_resource():
        if resource.existing and resource.symbol not in used | parents:
            what = f"resource `{resource.symbol}` is declared `existing` and not used"
            yield Finding(resource.place, what, "remove it, or use it", CHECK)
    types = {p.type.text.rstrip("?").removesuffix("[]") for p in file.parameters.values()}
    for name, type_ in file.types.items():
        if name not in types | {o.type.text for o in file.outputs.values()}:
            yield Finding(type_.place, f"type `{name}` is not used", "remove it", CHECK)


def _described(file: BicepFile) -> Iterator[Finding]:
    declared: list[Parameter | Output] = [*file.parameters.values(), *file.outputs.values()]
    for one in declared:
        written = next((d for d in one.decorators if d.function == "description"), None)
        if not (written and written.arguments and _text_of(written.arguments[0]).strip()):
            kind = "parameter" if isinstance(one, Parameter) else "output"
            what = f"{kind} `{one.name}` has no description"
            yield Finding(one.place, what, "write @description('...') above it", CHECK)
    for parameter in file.parameters.values():
        secure = any(d.function == "secure" for d in parameter.decorators)
        if secure and parameter.default is not None and _text_of(parameter.default):
            what = f"the secret parameter `{parameter.name}` has a default"
            yield Finding(parameter.place, what, "remove the default", CHECK)


def _text_of(expression: Expr) -> str:
    return str(expression.value) if isinstance(expression, Literal) else "?"


def _declared_kinds(file: BicepFile, symbols: Symbols) -> Iterator[Finding]:
    """Check that defaults and outputs have the declared type."""
    for name, parameter in file.parameters.items():
        if parameter.default is None:
            continue
        found, wanted = kind_of_expression(parameter.default, symbols), symbols.kind(name)
        if found and wanted and found != wanted:
            what = f"parameter `{name}` is declared {wanted}, its default is {found}"
            yield Finding(parameter.default.place, what, f"give a default that is {wanted}", CHECK)
        allowed = symbols.allowed(name)
        default = parameter.default
        if allowed and isinstance(default, Literal) and default.value not in allowed:
            what = f"the default of `{name}` is not one of its allowed values"
            yield Finding(default.place, what, f"take {', '.join(map(str, allowed))}", CHECK)
    for name, output in file.outputs.items():
        found, wanted = kind_of_expression(output.value, symbols), output.type.kind
        if found and wanted and found != wanted:
            what = f"output `{name}` is declared {wanted}, its value is {found}"
            yield Finding(
                output.value.place, what, f"declare it {found}, or correct the value", CHECK
            )


def _cycles(file: BicepFile) -> Iterator[Finding]:
    """Check for dependency cycles of resources, modules and variables."""
    needs: dict[str, set[str]] = {}
    places: dict[str, Place] = {}
    for name, variable in file.variables.items():
        needs[name], places[name] = _uses(variable.value), variable.place
    for one in file.deployments():
        parts = [one.body, one.condition, one.loop and one.loop.over]
        needs[one.symbol] = {n for p in parts if p is not None for n in _uses(p)} - {one.symbol}
        places[one.symbol] = one.place
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        cycle: list[str] = error.args[1][::-1]
        what = f"a dependency cycle: {' → '.join(cycle)}"
        yield Finding(places[cycle[0]], what, "remove one of the references", CHECK)


def _redundant(file: BicepFile) -> Iterator[Finding]:
    """Check for `dependsOn` of referenced symbols, and for names that repeat the parent's name."""
    for one in file.deployments():
        rest = [p.value for p in one.body.properties if p.key != "dependsOn"]
        used = {name for value in rest for name in _uses(value)}
        used |= {n for v in used & set(file.variables) for n in _uses(file.variables[v].value)}
        given = one.body.value("dependsOn")
        for item in given.items if isinstance(given, Array) else ():
            if isinstance(item, Name) and item.name in used:
                what = f"`{one.symbol}` depends on `{item.name}` already: it refers to it"
                yield Finding(item.place, what, "remove it from dependsOn", CHECK)
        name = one.body.value("name")
        parts = name.parts if isinstance(name, Text) and isinstance(one, Resource) else ()
        slash = any("/" in part for part in parts if isinstance(part, str))
        owner = next((p for p in parts if isinstance(p, Member) and p.name == "name"), None)
        if slash and owner and isinstance(owner.of, Name) and file.resource(owner.of.name):
            what = f"the name of `{one.symbol}` begins with that of `{owner.of.name}`"
            remedy = f"write `parent: {owner.of.name}`, and the rest as name"
            yield Finding(owner.place, what, remedy, CHECK)


def _uses(expression: Expr) -> set[str]:
    return {n.name for n in walk(expression) if isinstance(n, Name)}


def _style(expression: Expr) -> Iterator[Finding]:
    """Check for what the linter's rules of style forbid."""
    keys = {
        id(p.computed)
        for node in walk(expression)
        if isinstance(node, Object)
        for p in node.properties
    }
    for node in walk(expression):
        match node:
            case Text(parts=(part,)) if not isinstance(part, str) and id(node) not in keys:
                what = "a string with nothing but one expression"
                yield Finding(
                    node.place, what, "write the expression without quotes and ${}", CHECK
                )
            case Call(function="concat", arguments=arguments, of=None) if any(
                isinstance(a, Literal | Text) for a in arguments
            ):
                yield Finding(node.place, "concat() of strings", "write '...${...}...'", CHECK)
            case Object(properties=properties):
                for one in properties:
                    if one.quoted and one.key and IDENTIFIER.fullmatch(one.key):
                        what = f"`{one.key}` needs no quotes"
                        yield Finding(one.place, what, "write it without", CHECK)
            case Index(index=Literal(value=str(key))) if IDENTIFIER.fullmatch(key):
                yield Finding(node.place, f"['{key}'] needs no brackets", f"write .{key}", CHECK)
            case Call(function="any", of=None):
                what = "any() hides the type of a value"
                yield Finding(node.place, what, "give a value of the expected type", CHECK)
            case Call(function="reference", of=None):
                what = "reference() by name"
                yield Finding(node.place, what, "name the resource's symbol instead", CHECK)
            case Literal(value=str(text)) if found := CLOUD_HOSTS.search(text):
                yield _cloud(node.place, found[1])
            case Text(parts=parts):
                for part in parts:
                    if isinstance(part, str) and (found := CLOUD_HOSTS.search(part)):
                        yield _cloud(node.place, found[1])
            case _:
                pass


def _cloud(place: Place, host: str) -> Finding:
    what = f"{host} is the address of one of Azure's clouds"
    return Finding(place, what, "take it from az.environment()", CHECK)


def _locations(file: BicepFile) -> Iterator[Finding]:
    """Check that regions are parameters."""
    for resource in file.every_resource():
        location = resource.body.value("location")
        if isinstance(location, Literal) and str(location.value).lower() != "global":
            what = f"the region of `{resource.symbol}` is a constant"
            yield Finding(location.place, what, "take a parameter `location`", CHECK)
    for expression in _outside_defaults(file):
        for node in walk(expression):
            match node:
                case Member(
                    of=Call(function="resourceGroup" | "deployment" as owner), name="location"
                ):
                    what = f"{owner}().location outside a parameter's default"
                    yield Finding(node.place, what, "take a parameter `location`", CHECK)
                case _:
                    pass


def _outside_defaults(file: BicepFile) -> list[Expr]:
    defaults = {id(p.default) for p in file.parameters.values()}
    return [e for e in file.expressions if id(e) not in defaults]


def _duplicate_keys(expression: Expr) -> Iterator[Finding]:
    for node in walk(expression):
        if isinstance(node, Object):
            counts = Counter(p.key for p in node.properties if p.key is not None)
            for property_ in node.properties:
                if property_.key is not None and counts[property_.key] > 1:
                    what = f"`{property_.key}` is twice in one object"
                    yield Finding(property_.place, what, "keep one of them", CHECK)
