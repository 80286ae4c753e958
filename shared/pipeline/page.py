"""`/api/status` in a browser: pages without a script, in which every text from outside is escaped.

Whatever is not `Html` is escaped when it becomes part of a page, so that a file name can never be more than a name. The
one style sheet is named by its hash in the Content-Security-Policy, which allows nothing else.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import html
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlencode

from shared.pipeline.files import Files
from shared.pipeline.overview import InstanceStatus, Note, Status
from shared.pipeline.refusals import Group
from shared.pipeline.story import Asset, FileStory, InstanceStory, ScanStory, Story
from shared.pipeline.why import Sighting, Why
from shared.state.receipts import Receipt
from shared.state.scans import Scan

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:78em;padding:0 1em;color:#1b1f24;background:#fff}
h1{font-size:1.4em} h2{font-size:1.1em;margin-top:2em} a{color:#0b57d0} code{background:#eef1f4;padding:0 .3em}
table{border-collapse:collapse;width:100%} th,td{text-align:left;padding:.25em .8em .25em 0;vertical-align:top}
th{font-weight:600;border-bottom:1px solid #ccd2d9} td{border-bottom:1px solid #eef1f4;overflow-wrap:anywhere}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap} .w{white-space:nowrap}
.good{color:#0a7a37} .bad{color:#b3261e} .warn{color:#8a5300} .busy{color:#0b57d0} .dim{color:#5c6670}
form{display:inline} nav a{margin-right:1em}
@media (prefers-color-scheme:dark){body{color:#e3e6ea;background:#15181c} a{color:#8ab4f8} code{background:#2a2f36}
td{border-color:#2a2f36} .good{color:#6fce92} .bad{color:#ff8a80} .warn{color:#ffcc80} .busy{color:#8ab4f8}
.dim{color:#9aa4af}}
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
#: of every page: nothing is loaded, nothing runs, nothing is remembered, and no address (with its key) is passed on
HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Vary": "Accept",
}
_CLASSES = {
    "confirmed": "good",
    "finished": "good",
    "partly rejected": "warn",
    "overdue": "warn",
    "landed": "warn",
    "gone": "warn",
    "not configured": "warn",
    "rejected": "bad",
    "lost": "bad",
    "failed": "bad",
    "disabled": "bad",
}


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def esc(text: object) -> Html:
    """A text as HTML; a whole number with commas."""
    if isinstance(text, Html):
        return text
    return Html(f"{text:,}" if isinstance(text, int) else html.escape(str(text)))


def tag(name: str, *inner: object, **attributes: str) -> Html:
    """An element; `class_` stands for class."""
    said = "".join(f' {key.rstrip("_")}="{html.escape(value)}"' for key, value in attributes.items())
    return Html(f"<{name}{said}>{''.join(map(esc, inner))}</{name}>")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Html:
    """Columns whose title begins with # hold numbers."""
    classes = [{"class_": "n"} if title[0] == "#" else {} for title in columns]
    head = tag("tr", *(tag("th", title.lstrip("#"), **cls) for title, cls in zip(columns, classes, strict=True)))
    body = (tag("tr", *(tag("td", cell, **cls) for cell, cls in zip(row, classes, strict=True))) for row in rows)
    return tag("table", head, *body)


def ago(moment: str, at: dt.datetime) -> Html:
    """`3 min ago`, with the moment itself for who points at it."""
    if not moment:
        return Html("")
    seconds = (at - dt.datetime.fromisoformat(moment)).total_seconds()
    size, unit = next(((s, u) for s, u in ((86_400, "d"), (3_600, "h"), (60, "min")) if seconds >= s), (1, "s"))
    return tag("span", f"{max(0, int(seconds // size))} {unit} ago", class_="w", title=moment)


def coloured(state: str) -> Html:
    return tag("span", state, class_=f"w {_CLASSES.get(state, 'busy')}")


def commands(text: str) -> list[object]:
    """A text in which what stands in backticks is code."""
    return [tag("code", part) if n % 2 else part for n, part in enumerate(text.split("`"))]


class Pages:
    """Pages for one request. key: the function key it came with, which links have to carry on; empty for none."""

    def __init__(self, at: str, key: str = "") -> None:
        self._at = dt.datetime.fromisoformat(at)
        self._key = key

    def link(self, text: object, **query: str) -> Html:
        """A link to another view of the same address."""
        carried = {"code": self._key} if self._key else {}
        return tag("a", text, href="?" + urlencode({**carried, **{k: v for k, v in query.items() if v}}))

    def _page(self, title: str, *body: object) -> bytes:
        key = Html(f'<input type="hidden" name="code" value="{html.escape(self._key)}">') if self._key else ""
        box = Html(
            '<input name="of" size="40" placeholder="file, scan, instance" aria-label="what"> <button>tell</button>'
        )
        why = Html('<input name="why" size="40" placeholder="why is my asset not there?" aria-label="asset"> ')
        ask = Html("<button>why</button>")
        nav = tag(
            "nav",
            self.link("status"),
            self.link("rejected", rejected="1"),
            tag("form", key, box),
            " ",
            tag("form", key, why, ask),
        )
        head = tag("head", Html('<meta charset="utf-8">'), tag("title", title), tag("style", Html(_STYLE)))
        return f"<!doctype html><html lang=en>{head}{tag('body', nav, tag('h1', title), *body)}</html>".encode()

    # ---- what there is

    def status(self, found: Status, chosen: Mapping[str, str]) -> bytes:
        """chosen: the query that a further page has to repeat (`state`)."""
        chosen = {name: text for name, text in chosen.items() if text}
        waiting: list[object] = [f"{found.waiting:,} assets wait for confirmation"]
        if found.waiting:
            waiting += [", the first sent ", ago(found.waiting_since, self._at)]
        landed: list[object] = []
        if found.landed_since:
            landed = ["; files not taken up: the first landed ", ago(found.landed_since, self._at)]
        totals: list[object] = [self.link("all")]
        for state, count in found.totals.items():
            totals += [" · ", self.link(state, state=state), f" {count:,}"]
        return self._page(
            "Hookline",
            tag("p", *waiting, *landed, "; sent by ", found.sink),
            self._notes(found.notes()),
            tag("h2", "Instances"),
            self._instances(found.instances),
            tag("h2", "Files"),
            tag("p", *totals),
            self._files(found.files),
            tag("p", self.link("older files", before=found.next, **chosen)) if found.next else "",
        )

    def _instances(self, instances: Sequence[InstanceStatus]) -> Html:
        columns = ["instance", "scope", "state", "#parts", "#records", "#new", "#changed", "#unchanged", "#deleted"]
        columns += ["#held", "#refused", "when"]
        rows: list[list[object]] = []
        for one in instances:
            if not one.scans:
                rows.append([self.link(one.name, of=one.name), "", coloured(one.state), *[""] * 9])
            rows += [self._scan_row(scan) for scan in one.scans]
        return Html(table(columns, rows) + self._notes(note for one in instances for note in one.notes()))

    def _scan_row(self, scan: Scan) -> list[object]:
        numbers = [
            scan.parts,
            scan.records,
            scan.new,
            scan.changed,
            scan.unchanged,
            scan.deleted,
            scan.held,
            scan.refused,
        ]
        when = ago(scan.finished or scan.touched or scan.started, self._at)
        scope = self.link(scan.scope, of=f"{scan.instance}/{scan.id}")
        return [self.link(scan.instance, of=scan.instance), scope, coloured(scan.state), *numbers, when]

    def _notes(self, notes: Iterable[Note]) -> Html:
        lines = [tag("li", tag("b", note.place), " ", self._note(note.what, note.fix)) for note in notes]
        return tag("ul", *lines) if lines else Html("")

    @staticmethod
    def _note(problem: str, fix: str) -> Html:
        return tag(
            "span", tag("span", *commands(problem), class_="bad"), " ", tag("span", *commands(fix), class_="dim")
        )

    def _files(self, files: Iterable[Receipt]) -> Html:
        columns = [
            "file",
            "state",
            "#records",
            "#sent",
            "#unchanged",
            "#confirmed",
            "#rejected",
            "#attempts",
            "when",
            " ",
        ]
        rows: list[list[object]] = []
        for r in files:
            why = r.error or ", ".join(f"{rule} x {count:,}" for rule, count in sorted(r.reasons.items()))
            numbers = [r.records, r.sent + r.deleted, r.unchanged, r.confirmed, r.refused, r.attempts]
            when = ago(r.finished or r.sent_at or r.started or r.landed, self._at)
            rows.append([self.link(r.path, of=r.path), coloured(r.state), *numbers, when, self._note(why, r.fix)])
        return table(columns, rows)

    # ---- stories

    def story(self, told: Story) -> bytes:
        if told.file is not None:
            return self._file(told.file)
        if told.scan is not None:
            return self._scan(told.scan)
        assert told.instance is not None
        return self._instance(told.instance)

    def _file(self, found: FileStory) -> bytes:
        rows: list[list[object]] = [["state", coloured(found.receipt.state if found.receipt is not None else "landed")]]
        if found.receipt is not None:
            rows += self._receipt(found.receipt)
        if not found.lies:
            rows.append(["file", "not in landing any more"])
        elif found.newer:
            rows.append(["file", "a newer version of it has landed, and was not taken up yet"])
        if found.superseded:
            rows.append(["superseded", f"a later scan, {found.superseded}, has published its scope since"])
        rows.append(["next", tag("span", *commands(found.next))])
        refused = ([item.place, item.reason, item.fix, item.rule] for item in found.rejected)
        return self._page(
            found.path,
            table([" ", " "], rows),
            self._assets("Not confirmed yet", found.missing),
            *([tag("h2", "Rejected"), table(["place", "reason", "fix", "rule"], refused)] if found.rejected else []),
        )

    def _receipt(self, r: Receipt) -> list[list[object]]:
        times = (("landed", r.landed), ("taken up", r.started), ("sent", r.sent_at), ("finished", r.finished))
        rows: list[list[object]] = [[label, ago(moment, self._at)] for label, moment in times if moment]
        if r.scan:
            rows.append(["scan", self.link(f"{r.instance}/{r.scan}", of=f"{r.instance}/{r.scan}")])
        again = ", once more over REST" if r.by_rest else ", some of it sent again" if r.resent else ""
        rows += [
            ["attempts", r.attempts],
            ["read", f"{r.records:,} records, {r.refused:,} refused"],
            [
                "sent",
                f"{r.sent:,} assets, {r.deleted:,} deletions, {r.entities:,} entities, {r.messages:,} messages{again}",
            ],
            ["not sent", f"{r.unchanged:,} unchanged, {r.repeated:,} said again, {r.adopted:,} adopted"],
            ["confirmed", f"{r.confirmed:,} of {r.sent + r.deleted:,}, {r.overtaken:,} overtaken by a later scan"],
        ]
        return rows + ([["error", self._note(r.error, r.fix)]] if r.error else [])

    def _scan(self, found: ScanStory) -> bytes:
        one = [found.scan] if found.scan is not None else []
        table_ = self._instances([InstanceStatus(name=found.instance, scans=one)]) if one else ""
        held = self._assets("Held back", found.held)
        return self._page(
            f"{found.instance}: scan {found.id}", table_, held, tag("h2", "Files"), self._files(found.files)
        )

    def _instance(self, found: InstanceStory) -> bytes:
        held = [self._assets(f"Held back in {scope}", assets) for scope, assets in found.held.items()]
        files: Files = found.files
        return self._page(
            found.status.name, self._instances([found.status]), *held, tag("h2", "Files"), self._files(files.files)
        )

    @staticmethod
    def _assets(title: str, assets: Sequence[Asset]) -> Html:
        if not assets:
            return Html("")
        rows = ([asset.operation, asset.type_name, asset.qualified_name] for asset in assets)
        return Html(tag("h2", title) + table([" ", "type", "qualified name"], rows))

    def why(self, told: Why) -> bytes:
        """What is known of an asset."""
        rows = [
            [
                one.kind,
                f"{one.type_name} {one.qualified_name}",
                one.instance and f"{one.instance}/{one.scope}",
                self._file_or_scan(one),
                coloured(one.state),
                ago(one.when, self._at),
                one.said,
                tag("span", *commands(one.fix), class_="dim"),
            ]
            for one in told.sightings
        ]
        seen = table([" ", "asset", "scope", "file or scan", "state", "when", " ", " "], rows)
        there = (
            [item.type_name, item.qualified_name, item.status or "not there", item.guid] for item in told.catalogue
        )
        near = [tag("li", self.link(name, why=name)) for name in told.nearest]
        return self._page(
            f"Why {told.name}",
            seen if rows else tag("p", "nothing is known of it: no scan has published it, no file names it"),
            *([tag("p", "more of: ", ", ".join(told.more))] if told.more else []),
            *([tag("p", "did you mean"), tag("ul", *near)] if near else []),
            tag("h2", "In the catalogue"),
            tag("p", f"not asked: {told.unasked}")
            if told.unasked
            else table(["type", "qualified name", " ", "guid"], there),
        )

    def _file_or_scan(self, one: Sighting) -> Html:
        if one.file:
            return self.link(one.file, of=one.file)
        return self.link(one.scan, of=f"{one.instance}/{one.scan}") if one.scan else Html("")

    # ---- refusals, errors

    def rejected(self, groups: Iterable[Group]) -> bytes:
        body: list[object] = []
        for group in groups:
            samples = ([self.link(s.file, of=s.file), s.place, s.reason, s.fix] for s in group.samples)
            title = f"{group.rule}: {group.count:,} in {group.files:,} files"
            body += [tag("h2", title), table(["file", "place", "reason", "fix"], samples)]
        return self._page("Rejected", *(body or [tag("p", "nothing was refused")]))

    def error(self, what: str, where: str, fix: str) -> bytes:
        return self._page("Not found" if where else "Error", tag("p", where and f"{where}: ", what), tag("p", fix))
