"""The page of a repository's environments: what runs where, how the models fared, and what moved when."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from gitops_ml import pictures, wording
from gitops_ml.delivery.deployment import Deployment
from gitops_ml.delivery.release import Manifest, short
from gitops_ml.delivery.status import WRONG, Row, pending, rows
from gitops_ml.delivery.world import World
from gitops_ml.page import Cell, bullets, code, document, section, table, text

SHOWN_DEPLOYMENTS = 50
SHOWN_RELEASES = 200
SHOWN_METRICS = 6
_MARKS = {"in sync": "✓", "empty": "–", "behind": "…", "deploying": "…"}


def render_dashboard(world: World, name: str, address: str = "") -> str:
    """`world` as one page that needs nothing else; `address` of the repository on its server makes links."""
    found = rows(world)
    wrong = [row for row in found if row.state in WRONG]
    releases = sorted(world.facts.releases.values(), key=lambda item: item.sequence)
    unreadable = [f"{path} is unreadable and counts as absent" for path in sorted(world.facts.unreadable)]
    body = [
        _header(name, wrong, world.now),
        _environments(found, address),
        bullets(
            "Promotions", [_proposal(each.environment, each.reason, each.hint) for each in pending(world)]
        ),
        _history(releases),
        _releases(releases, found, world, address),
        _deployments(world, address),
        bullets("Records", unreadable[:20]),
        "<footer>Made by gitops-ml from main and deploy-state. Press a column's title to sort by it.</footer>",
    ]
    return document(f"{name}: environments", body)


def _header(name: str, wrong: Sequence[Row], now: dt.datetime) -> str:
    verdict = "fail" if wrong else "pass"
    said = "Every environment is as main wants it, or on the way."
    if wrong:
        said = "; ".join(f"{row.environment} is {row.state}" for row in wrong)
    return (
        f'<header class="{verdict}"><h1>{text(name)}</h1><p>{text(said)}</p>'
        f"<ul><li>As of {_moment(now)}</li></ul></header>"
    )


def _environments(found: Sequence[Row], address: str) -> str:
    lines: list[tuple[str, Sequence[Cell]]] = []
    for row in found:
        kind = "fail" if row.state in WRONG else ""
        metric: Cell = "-"
        if row.primary is not None:
            metric = (f"{text(row.primary[0], 60)} {wording.plain(row.primary[1])}", row.primary[1])
        wanted = _name(row.wanted) + (" held" if row.pinned else "")
        state = f"<b>{_MARKS.get(row.state, '✗')} {row.state}</b>"
        lines.append(
            (
                kind,
                [
                    text(row.environment),
                    state,
                    _name(row.live),
                    wanted,
                    _commit(row.commit, address),
                    metric,
                    _when(row.since),
                    text(row.by or "-"),
                ],
            )
        )
    columns = ["Environment", "State", "Runs", "Wanted", "Commit", ">Metric", "Since", "By"]
    return section("Environments", table(columns, lines))


def _proposal(environment: str, reason: str, hint: str) -> str:
    said = reason if reason.startswith(environment) else f"{environment}: {reason}"
    return f"{said}." + (f" {hint}" if hint else "")


def _history(releases: Sequence[Manifest]) -> str:
    """The metrics over the releases, the primary one first."""
    recent = releases[-SHOWN_RELEASES:]
    primary = [item.primary for item in reversed(recent) if item.primary]
    counted: dict[str, int] = {}
    for item in recent:
        for metric in item.metrics:
            counted[metric] = counted.get(metric, 0) + 1
    names = sorted(counted, key=lambda metric: (metric not in primary[:1], -counted[metric], metric))
    drawn = "".join(
        pictures.history(metric, metric, _points(recent, metric)) for metric in names[:SHOWN_METRICS]
    )
    return section("Metrics of the releases", f'<div class="pictures">{drawn}</div>' if drawn else "")


def _points(releases: Sequence[Manifest], metric: str) -> list[tuple[float, float, str]]:
    return [
        (
            float(item.sequence),
            item.metrics[metric],
            f"{short(item.release)}, {item.artifacts.commit[:7]}: {wording.plain(item.metrics[metric])}",
        )
        for item in releases
        if metric in item.metrics
    ]


def _releases(releases: Sequence[Manifest], found: Sequence[Row], world: World, address: str) -> str:
    lines: list[tuple[str, Sequence[Cell]]] = []
    for item in reversed(releases[-SHOWN_RELEASES:]):
        serving = [row.environment for row in found if row.live == item.release]
        revoked = world.revoked.reason(item.release)
        value = item.metrics.get(item.primary or "")
        lines.append(
            (
                "fail" if revoked else "",
                [
                    _name(item.release),
                    _commit(item.artifacts.commit, address),
                    _pull(item.pull_request, address),
                    "-"
                    if value is None
                    else (f"{text(item.primary or '', 60)} {wording.plain(value)}", value),
                    text(item.trained),
                    text(", ".join(serving)) + (f" <b>revoked: {text(revoked)}</b>" if revoked else ""),
                    (_moment(item.at), float(item.sequence)),
                    _run(item.run.url, address),
                ],
            )
        )
    columns = ["Release", "Commit", "Pull request", ">Metric", "Trained by", "Serves", "Built", "Run"]
    return section("Releases, newest first", table(columns, lines))


def _deployments(world: World, address: str) -> str:
    items = [item for name in world.pipeline.names for item in world.facts.history(name)]
    items.sort(key=lambda item: item.intent.at, reverse=True)
    lines: list[tuple[str, Sequence[Cell]]] = []
    for item in items[:SHOWN_DEPLOYMENTS]:
        intent = item.intent
        reason = item.outcome.reason if item.outcome else ""
        lines.append(
            (
                "fail" if item.failed else "",
                [
                    (_moment(intent.at), intent.at.timestamp()),
                    text(intent.environment),
                    _name(intent.release) + (" brought back" if intent.kind == "restore" else ""),
                    f"<b>{_result(item)}</b> {text(reason)}",
                    text(intent.by or "-"),
                    text(", ".join(intent.approvers) or "-"),
                    _pull(intent.pull_request, address),
                    _run(intent.run.url, address),
                ],
            )
        )
    columns = ["When", "Environment", "Release", "Became", "By", "Approved by", "Pull request", "Run"]
    title = "Deployments, newest first"
    return section(
        title if len(items) <= SHOWN_DEPLOYMENTS else f"{title}, the last {SHOWN_DEPLOYMENTS}",
        table(columns, lines),
    )


def _result(item: Deployment) -> str:
    if item.outcome is None:
        return "no outcome yet"
    return "healthy" if item.healthy else "unhealthy"


def _name(release: str | None) -> str:
    return f'<code class="id">{text(short(release))}</code>'


def _moment(moment: dt.datetime) -> str:
    return f"{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"


def _when(moment: dt.datetime | None) -> Cell:
    return "-" if moment is None else (_moment(moment), moment.timestamp())


def _commit(commit: str | None, address: str) -> str:
    if commit is None:
        return "-"
    return _link(f"{address}/commit/{commit}" if address else "", commit[:7])


def _pull(number: int | None, address: str) -> str:
    if number is None:
        return "-"
    return _link(f"{address}/pull/{number}" if address else "", f"#{number}")


def _run(url: str, address: str) -> str:
    """The link that the run left, if it leads to this repository; a record could name any other place."""
    return _link(url, "run") if address and url.startswith(f"{address}/") else "-"


def _link(url: str, said: str) -> str:
    return f'<a href="{text(url, 400)}">{text(said)}</a>' if url else code(said)
