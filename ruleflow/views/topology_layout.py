"""Where everything of a plan stands: the outside left, the host in the middle, containers right, a line for each wire."""

from collections import defaultdict

import msgspec

from ruleflow.analysis.plan import Bridge, Place, Plan, Plug, Published
from ruleflow.netfilter.stacked import End
from ruleflow.views.paper import text_width, wrap

Point = tuple[float, float]
TEXT, TITLE, STEP, PAD = 11.0, 13.0, 15.0, 10.0
MARGIN, GAP = 18.0, 16.0
_WIRE = 96.0
"""The length of a wire between the host's edge and what is plugged in."""


class Card(msgspec.Struct, frozen=True):
    """A box with a title and lines. ``style`` is outside, host, bridge, container, nic, port or published."""

    x: float
    y: float
    width: float
    height: float
    title: str
    lines: tuple[str, ...]
    style: str
    tooltip: str = ""
    line: int | None = None


class Cable(msgspec.Struct, frozen=True):
    """A line between two ends. ``style`` is veth, bus or published; the arrow is at its end."""

    points: tuple[Point, ...]
    style: str
    ends: tuple[End, ...] = ()


class Sheet(msgspec.Struct):
    """All that is drawn, and how large it is."""

    cards: list[Card] = msgspec.field(default_factory=list)
    cables: list[Cable] = msgspec.field(default_factory=list)
    width: float = 0.0
    height: float = 0.0


def card(
    title: str,
    lines: tuple[str, ...],
    style: str,
    *,
    room: float = 300.0,
    tooltip: str = "",
    line: int | None = None,
) -> Card:
    """A card as large as its text, at no place yet."""
    shown = tuple(part for each in lines for part in wrap(each, room, TEXT))
    width = max([text_width(title, TITLE, bold=True), *(text_width(each, TEXT) for each in shown)]) + 2 * PAD
    height = 2 * PAD + (TITLE + 1 if title else 0) + STEP * len(shown) - (0 if title else 4)
    return Card(0, 0, width, height, title, shown, style, tooltip or title, line)


def at(one: Card, x: float, y: float, **size: float) -> Card:
    """The card at a place."""
    return msgspec.structs.replace(one, x=x, y=y, **size)


def layout(plan: Plan) -> Sheet:
    """Places all of ``plan``."""
    return _Layout(plan).run()


class _Layout:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.sheet = Sheet()
        self.published: dict[str | None, list[Published]] = defaultdict(list)
        for each in plan.published:
            self.published[each.place].append(each)
        self.placed: dict[str, Card] = {}
        self.bus = MARGIN

    def run(self) -> Sheet:
        plan = self.plan
        outside = [self._outside(plug) for plug in plan.uplinks]
        left = max([one.width for one in outside], default=0.0)
        self.host_x = MARGIN + left + (_WIRE if outside else 0)
        pills = [self._pill(each) for each in plan.published]
        bridges = [self._bridge(bridge) for bridge in plan.bridges]
        nics = [self._nic(plug) for plug in plan.uplinks]
        column = max([one.width for one in (*pills, *nics)], default=0.0)
        self.bridge_x = self.host_x + column + 40
        ports = max(
            [text_width(port.name, TEXT) + 16 for bridge in plan.bridges for port in bridge.ports],
            default=0.0,
        )
        self.bridge_width = max([one.width for one in bridges], default=0.0) + ports / 2
        self.host_right = self.bridge_x + self.bridge_width + (ports / 2 if ports else 0) + 24
        self.port_width = ports
        self.places_x = self.host_right + _WIRE
        y = self._uplinks(outside, nics, MARGIN + 44)
        for bridge, box in zip(plan.bridges, bridges, strict=True):
            y = self._bridge_block(bridge, box, y)
        y = self._rest(y)
        self._edge()
        y = self._routes(y)
        self.sheet.cards.insert(
            0,
            Card(
                self.host_x,
                MARGIN,
                self.host_right - self.host_x,
                y - MARGIN,
                f"{plan.host}: this host",
                (),
                "host",
            ),
        )
        self.sheet.width = max([one.x + one.width for one in self.sheet.cards]) + MARGIN
        self.sheet.height = max([one.y + one.height for one in self.sheet.cards]) + MARGIN
        return self.sheet

    # -- cards ----------------------------------------------------------------------------------------------

    def _outside(self, plug: Plug) -> Card:
        place = self.plan.place(plug.over[0]) if plug.over else None
        if place is None:
            return card("the network", ("what is behind it is not known",), "outside", room=170)
        return self._place(place, "outside")

    def _place(self, place: Place, style: str) -> Card:
        lines = [" ".join((plug.name, *plug.addresses)) for plug in place.plugs]
        lines += place.routes
        lines += [f"listens: {', '.join(place.listens)}"] if place.listens else []
        return card(place.name, tuple(lines), style, room=230)

    def _nic(self, plug: Plug) -> Card:
        note = (f"({plug.note})",) if plug.note else ()
        return card(plug.name, (*plug.addresses, *note), "nic")

    def _pill(self, each: Published) -> Card:
        also = (each.also,) if each.also else ()
        return card(
            "",
            (each.who, f"→ {each.to}", *also),
            "published",
            room=190,
            tooltip=f"published: {each.who} goes to {each.to}",
            line=each.line,
        )

    def _bridge(self, bridge: Bridge) -> Card:
        return card(bridge.name, ("bridge", *bridge.addresses), "bridge")

    # -- rows -----------------------------------------------------------------------------------------------

    def _uplinks(self, outside: list[Card], nics: list[Card], y: float) -> float:
        for plug, far, nic in zip(self.plan.uplinks, outside, nics, strict=True):
            self.sheet.cards += [at(far, MARGIN, y), at(nic, self.host_x - 14, y)]
            middle = y + min(far.height, nic.height) / 2
            ends = ((self.plan.host, plug.name), *((plug.over,) if plug.over else ()))
            self.sheet.cables.append(
                Cable(((MARGIN + far.width, middle), (self.host_x - 14, middle)), "veth", ends)
            )
            if plug.over:
                self.placed[plug.over[0]] = self.sheet.cards[-2]
            self.bus = y + nic.height
            y += max(far.height, nic.height) + GAP
        return y

    def _bridge_block(self, bridge: Bridge, box: Card, y: float) -> float:
        """A bridge as tall as all that is plugged into it, and its containers beside it."""
        top = y
        number = len(self.sheet.cards)
        for port in bridge.ports:
            y = (
                self._port(bridge, port, y + (2 if y == top else GAP))
                if port.over
                else self._open_port(port, y)
            )
        bottom = max(y, top + box.height)
        self.sheet.cards.insert(
            number, at(box, self.bridge_x, top, width=self.bridge_width, height=bottom - top)
        )
        return bottom + GAP

    def _open_port(self, port: Plug, y: float) -> float:
        """A port whose other end is not known."""
        self.sheet.cards.append(self._port_card(port, y + 4))
        return y + 30

    def _port_card(self, port: Plug, y: float) -> Card:
        width = text_width(port.name, TEXT) + 16
        tooltip = f"port {port.name}{f', {port.note}' if port.note else ''}"
        return Card(
            self.bridge_x + self.bridge_width - self.port_width / 2,
            y,
            width,
            20,
            "",
            (port.name,),
            "port",
            tooltip,
        )

    def _port(self, bridge: Bridge, port: Plug, y: float) -> float:
        """A port, its wire, the container at its end, and what is published of that."""
        assert port.over is not None
        name = port.over[0]
        plug = self._port_card(port, y + 6)
        self.sheet.cards.append(plug)
        middle = y + 16
        if name in self.placed:
            return self._second(name, port, plug, middle)
        place = self.plan.place(name)
        box = self._place(place, "container") if place else card(name, (), "container")
        rows = [self._pill(each) for each in self.published[name]]
        height = max(box.height, 40 + sum(row.height + 6 for row in rows))
        placed = at(box, self.places_x, y, height=height)
        self.placed[name] = placed
        self.sheet.cards.append(placed)
        ends = ((self.plan.host, port.name), port.over)
        self.sheet.cables.append(
            Cable(((plug.x + plug.width, middle), (self.places_x, middle)), "veth", ends)
        )
        self._pills(rows, y + 36, self.places_x)
        del bridge
        return y + height

    def _second(self, name: str, port: Plug, plug: Card, middle: float) -> float:
        """A further wire to a container that stands already: around to its right side."""
        box = self.placed[name]
        right = self.places_x + max(one.width for one in self.placed.values()) + 14
        points = (
            (plug.x + plug.width, middle),
            (right, middle),
            (right, box.y + 14),
            (box.x + box.width, box.y + 14),
        )
        self.sheet.cables.append(Cable(points, "veth", ((self.plan.host, port.name), port.over or ("", ""))))
        return middle + 16

    def _pills(self, rows: list[Card], y: float, to: float) -> None:
        x = self.host_x - 14
        for row in rows:
            self.sheet.cards.append(at(row, x, y))
            middle = y + row.height / 2
            self.sheet.cables.append(Cable(((x + row.width, middle), (to, middle)), "published"))
            y += row.height + 6

    def _rest(self, y: float) -> float:
        """Namespaces that nothing joins to the host, and published ports that lead to nobody known."""
        for place in self.plan.places:
            if place.name not in self.placed:
                box = at(self._place(place, "container"), self.places_x, y)
                rows = [self._pill(each) for each in self.published[place.name]]
                height = max(box.height, 10 + sum(row.height + 6 for row in rows))
                self.sheet.cards.append(msgspec.structs.replace(box, height=height))
                self._pills(rows, y + 6, self.places_x)
                self.placed[place.name] = box
                y += height + GAP
        lost = [self._pill(each) for each in self.published[None]]
        self._pills(lost, y, self.host_right - 10)
        return y + sum(row.height + 6 for row in lost)

    def _edge(self) -> None:
        """A line along the host's edge, from where packets come in to the ports that are published."""
        pills = [one.y for one in self.sheet.cards if one.style == "published"]
        if pills and self.plan.uplinks:
            x = self.host_x + 8
            self.sheet.cables.insert(0, Cable(((x, self.bus), (x, max(pills))), "bus"))

    def _routes(self, y: float) -> float:
        if not self.plan.routes:
            return y
        box = card("Routes", self.plan.routes, "routes", room=self.host_right - self.host_x - 40)
        self.sheet.cards.append(at(box, self.host_x + 16, y))
        return y + box.height + 10
