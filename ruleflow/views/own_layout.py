"""Where everything of a picture stands: a road that packets travel down, and beside it the chains that are asked.

The left road is the way through this host, the right one the way to its programs and from them. Called
chains stand below their caller, further in; one that is drawn already is only named. Nothing overlaps,
for nothing is placed but below or beside what is there.
"""

from collections import defaultdict
from collections.abc import Iterator

import msgspec

from ruleflow.analysis.outline import Call, Outline, Stage
from ruleflow.views.box_size import PAD, SMALL, STEP, Sized, sized
from ruleflow.views.paper import shorten, text_width, wrap

Point = tuple[float, float]

MARGIN, GAP, INDENT, ROAD = 18.0, 16.0, 26.0, 26.0
_DEEPEST = 7
"""Calls further in than this are not set further in."""
_WHEN_ROOM = 270.0


class Text(msgspec.Struct, frozen=True):
    """Lines of text at a place; ``style`` is a class of the style sheet."""

    x: float
    y: float
    lines: tuple[str, ...]
    style: str
    target: str = ""
    """The id of the box it speaks of."""


class Wire(msgspec.Struct, frozen=True):
    """A line with an arrow at its end. ``style`` is road, ask, jump or goto, with marks behind."""

    points: tuple[Point, ...]
    style: str
    width: float = 1.5
    arrow: bool = True
    call: Call | None = None


class Frame(msgspec.Struct, frozen=True):
    """A frame with a title: a hook (``style`` hook) or a table (table)."""

    x: float
    y: float
    width: float
    height: float
    title: str
    style: str
    about: str = ""


class Place(msgspec.Struct, frozen=True):
    """A place of the path that is no chain: an end of the road, or the routing decision."""

    x: float
    y: float
    width: float
    height: float
    lines: tuple[str, ...]
    style: str


class Layout(msgspec.Struct):
    """All that is drawn, and how large it is."""

    boxes: list[tuple[float, float, Sized]] = msgspec.field(default_factory=list)
    texts: list[Text] = msgspec.field(default_factory=list)
    wires: list[Wire] = msgspec.field(default_factory=list)
    frames: list[Frame] = msgspec.field(default_factory=list)
    places: list[Place] = msgspec.field(default_factory=list)
    width: float = 0.0
    height: float = 0.0


ABOUT = {
    "PREROUTING": "as it arrives, before the route is chosen",
    "INPUT": "for a program on this host",
    "FORWARD": "passing through this host",
    "OUTPUT": "sent by this host",
    "POSTROUTING": "about to leave",
}


def layout(outline: Outline, room: float = 250.0) -> Layout:
    """Places all of ``outline``; ``room`` is where the text in boxes breaks, in pixels."""
    return _Layout(outline, room).run()


class _Layout:
    def __init__(self, outline: Outline, room: float) -> None:
        self.outline = outline
        self.out = Layout()
        self.sized = {box.id: sized(box, room) for box in outline.boxes}
        self.calls: dict[str, list[Call]] = defaultdict(list)
        for call in outline.calls:
            self.calls[call.caller].append(call)
        self.placed: set[str] = set()
        self.stages = {stage.hook: stage for stage in outline.stages}

    def run(self) -> Layout:
        bottom = self._path() if any(stage.boxes for stage in self.outline.stages) else MARGIN
        bottom = self._loose(bottom)
        self.out.width += MARGIN
        self.out.height = max(self.out.height, bottom) + MARGIN
        return self.out

    # -- trees of chains --------------------------------------------------------------------------------------

    def _tree(self, root: str, x: float, y: float) -> float:
        """Places a box and the chains it calls below it; gives the y below all of them (a stack: calls may nest deep)."""
        y = self._put(root, x, y)
        waiting = [(call, x, 1, self._middle(root)) for call in reversed(self.calls[root])]
        while waiting:
            call, parent_x, depth, parent_y = waiting.pop()
            inner = parent_x + (INDENT if depth <= _DEEPEST else 0)
            y, middle = self._called(call, inner, y)
            self._wire(call, parent_x, parent_y, inner, middle)
            if middle >= 0 and call.callee not in self.placed:
                y = self._put(call.callee, inner, y)
                waiting += [
                    (each, inner, depth + 1, self._middle(call.callee))
                    for each in reversed(self.calls[call.callee])
                ]
        return y

    def _put(self, box: str, x: float, y: float) -> float:
        self.placed.add(box)
        size = self.sized[box]
        self.out.boxes.append((x, y, size))
        self._grow(x + size.width, y + size.height)
        return y + size.height

    def _middle(self, box: str) -> float:
        """The y of the bottom of a box just placed: where the wires to what it calls begin."""
        x, y, size = self.out.boxes[-1]
        del x, box
        return y + size.height

    def _called(self, call: Call, x: float, y: float) -> tuple[float, float]:
        """The words before a called chain; the y for its box, and that of the wire's arrow."""
        lines = _when(call)
        y += 9 + STEP * len(lines)
        if lines:
            style = "when faded" if call.faded else "when"
            self._text(Text(x + 12, y - STEP * (len(lines) - 1) - 2, lines, style))
        if call.callee not in self.placed:
            return y + 2, y + 17
        name = shorten(self.sized[call.callee].box.title, 60)
        style = "stub faded" if call.faded else "stub"
        self._text(
            Text(
                x + 12,
                y + 12,
                (f"{name}, drawn above" if call.callee != call.caller else f"{name}, itself again",),
                style,
                call.callee,
            )
        )
        return y + 18, y + 8

    def _wire(self, call: Call, x: float, y: float, to_x: float, to_y: float) -> None:
        begin = (x + 12 if to_x > x else x - 8, y if to_x > x else to_y - 12)
        middle = (begin[0], to_y)
        marks = "".join(f" {mark}" for mark in (call.mark, "faded" if call.faded else "") if mark)
        self.out.wires.append(
            Wire((begin, middle, (to_x, to_y)), call.kind + marks, _thickness(call), call=call)
        )

    def _text(self, text: Text) -> None:
        self.out.texts.append(text)
        for line in text.lines:
            self._grow(text.x + text_width(line, SMALL), text.y)

    def _grow(self, x: float, y: float) -> None:
        self.out.width, self.out.height = max(self.out.width, x), max(self.out.height, y)

    # -- the path ---------------------------------------------------------------------------------------------

    def _path(self) -> float:
        """The roads and all that stands at them; gives the y below."""
        left = MARGIN
        top = self._end(left, MARGIN, self.outline.ends.enter, "enter")
        y, before = self._stage("PREROUTING", left, top, "arrive")
        widest = self.out.width
        choice = y + 14
        y = self._route(left, choice)
        self._road(left, before, choice, "route")
        fork = choice + 22
        y, before = self._stage("FORWARD", left, y, "route", "FORWARD")
        widest = max(widest, self.out.width)
        right = widest + 2 * GAP + 16
        right_y, right_from = self._right_side(left, right, fork)
        join = max(y, right_y) + 16
        self._road(left, before, join, "POSTROUTING", begin="FORWARD")
        turn = ((right + ROAD / 2, right_from), (right + ROAD / 2, join), (left + ROAD / 2 + 2, join))
        self.out.wires.append(Wire(turn, self._road_style("OUTPUT", "POSTROUTING"), 4.0))
        y, before = self._stage("POSTROUTING", left, join, "POSTROUTING")
        self._road(left, before, y + 16, "leave")
        return self._end(left, y + 18, self.outline.ends.leave, "leave")

    def _right_side(self, left: float, right: float, fork: float) -> tuple[float, float]:
        """The way to programs and from them; gives the y below, and where the road goes on."""
        across = ((left + ROAD / 2 + 60, fork), (right + ROAD / 2, fork), (right + ROAD / 2, fork + 26))
        self.out.wires.append(Wire(across, self._road_style("route", "INPUT"), 4.0, arrow=False))
        self._text(Text(left + ROAD / 2 + 210, fork - 6, ("yes: for this host",), "way"))
        y, before = self._stage("INPUT", right, fork + 26, "route", "INPUT")
        self._road(right, before, y + 14, "deliver", begin="INPUT")
        y = self._end(right, y + 16, self.outline.ends.here, "here")
        end, before = self._stage("OUTPUT", right, y, "send")
        return end, before

    def _stage(self, hook: str, x: float, y: float, *begin: str) -> tuple[float, float]:
        """The chains asked at a hook; gives the y below, and the y to which the road is drawn."""
        boxes = self.stages.get(hook, Stage(hook)).boxes
        y += 14
        top, road = y, y
        inner = x + ROAD + 14
        self._text(Text(inner, y + 12, (f"{hook}: {ABOUT[hook]}",), "hook"))
        y += 22
        right = inner + text_width(f"{hook}: {ABOUT[hook]}", SMALL, bold=True) + 10
        if not boxes:
            self._text(Text(inner, y + 9, ("no chain is asked here",), "note"))
            y += 16
        for box in boxes:
            before = len(self.out.boxes), len(self.out.texts)
            y = self._table(box, inner, y + 4)
            right = max(right, *(bx + size.width + 10 for bx, _, size in self.out.boxes[before[0] :]))
            right = max(
                [
                    right,
                    *(
                        t.x + text_width(line, SMALL) + 10
                        for t in self.out.texts[before[1] :]
                        for line in t.lines
                    ),
                ]
            )
        self.out.frames.insert(
            0, Frame(x + ROAD + 4, top - 4, right - x - ROAD + 2, y - top + 14, hook, "hook", ABOUT[hook])
        )
        self._grow(right + 6, y + 10)
        self._road(x, road - 14, y + 10, hook, begin=begin[-1] if begin else "")
        return y + 10, y + 10

    def _table(self, box: str, x: float, y: float) -> float:
        """A chain of a hook with its calls, in the frame of its table."""
        size = self.sized[box]
        number, words = len(self.out.boxes), len(self.out.texts)
        self._text(Text(x + 6, y + 12, (f"table {size.box.table}",), "table"))
        root_y = y + 20
        bottom = self._tree(box, x + 8, root_y)
        right = max(bx + s.width for bx, _, s in self.out.boxes[number:])
        right = max(
            [right, *(t.x + text_width(line, SMALL) for t in self.out.texts[words:] for line in t.lines)]
        )
        self.out.frames.append(Frame(x, y, right - x + 9, bottom - y + 8, size.box.table, "table"))
        self._grow(right + 9, bottom + 8)
        marks = (
            f" {size.box.mark}"
            if size.box.mark == "walked"
            else " faded"
            if size.box.faded and self.outline.way
            else ""
        )
        road = x - 14 - ROAD / 2
        self.out.wires.append(Wire(((road, root_y + 14), (x + 8, root_y + 14)), f"ask{marks}", 2.0))
        return bottom + 12

    def _route(self, x: float, y: float) -> float:
        """The routing decision; gives the y below."""
        self.out.places.append(
            Place(x - 6, y, ROAD + 160, 44, ("Routing: for this host?",), self._faded("route", "route"))
        )
        self._grow(x + ROAD + 160, y + 44)
        self._text(Text(x + ROAD / 2 + 12, y + 60, ("no: passing through",), "way"))
        self._road(x, y + 45, y + 65, "FORWARD", begin="route")
        return y + 64

    def _end(self, x: float, y: float, lines: tuple[str, ...], style: str) -> float:
        """An end of a road; gives the y below."""
        shown = tuple(part for line in lines for part in wrap(line, 330, SMALL))
        height = STEP * len(shown) + 14
        width = max(text_width(line, SMALL, bold=True) for line in shown) + 2 * PAD + 10
        place = {"enter": "arrive", "leave": "leave", "here": "deliver"}[style]
        self.out.places.append(
            Place(
                x - 6,
                y,
                width,
                height,
                shown,
                self._faded(style, place, "send" if style == "here" else place),
            )
        )
        self._grow(x + width, y + height)
        return y + height

    def _faded(self, style: str, *places: str) -> str:
        way = self.outline.way
        return f"{style} faded" if way and not set(places) & set(way) else style

    def _road(self, x: float, y: float, to: float, place: str, *, begin: str = "") -> None:
        if to > y + 1:
            middle = x + ROAD / 2
            self.out.wires.append(
                Wire(
                    ((middle, y), (middle, to)),
                    self._road_style(begin or place, place),
                    4.0,
                    arrow=place in ("deliver", "leave"),
                )
            )

    def _road_style(self, *places: str) -> str:
        way = self.outline.way
        if not way:
            return "road"
        return "road walked" if all(place in way for place in places) else "road faded"

    # -- what no packet reaches --------------------------------------------------------------------------------

    def _loose(self, y: float) -> float:
        """Boxes that no hook leads to, in columns below all else; gives the y below."""
        roots = [box for box in self.outline.loose if box not in self.placed]
        roots += [box.id for box in self.outline.boxes if box.id not in self.placed and box.id not in roots]
        if not roots:
            return y
        if any(stage.boxes for stage in self.outline.stages):
            y += 34
            self._text(Text(MARGIN, y, ("No hook leads to these chains, so no packet meets them:",), "hook"))
            y += 10
        columns = [y + GAP] * max(1, min(3, len(roots) // 3))
        lefts = list(self._columns(roots, len(columns)))
        for root in roots:
            if root in self.placed:
                continue
            column = columns.index(min(columns))
            self._text(
                Text(lefts[column], columns[column] + 4, (f"table {self.sized[root].box.table}",), "table")
            )
            columns[column] = self._tree(root, lefts[column], columns[column] + 10) + GAP + 8
        return max(columns)

    def _columns(self, roots: list[str], count: int) -> Iterator[float]:
        """The left edges of columns, wide enough for any of the boxes and what they call."""
        boxes = max(size.width for size in self.sized.values()) + _WHEN_ROOM * 0.2
        lines = (line for calls in self.calls.values() for call in calls for line in _when(call))
        said = max((text_width(line, SMALL) for line in lines), default=0.0) + GAP
        widest = max(boxes, said) + INDENT * min(_DEEPEST, self._depth(roots))
        for index in range(count):
            yield MARGIN + index * (widest + GAP)

    def _depth(self, roots: list[str]) -> int:
        """How many calls deep the boxes below ``roots`` stand, as far as it shows."""
        called = {call.callee for box in roots for call in self.calls[box]}
        edge, depth = {box for box in roots if box not in called} or set(roots), 0
        while edge and depth < _DEEPEST:
            edge = {call.callee for box in edge for call in self.calls[box]}
            depth += 1
        return depth


def _when(call: Call) -> tuple[str, ...]:
    """For which packets a chain is called, in a line or a few."""
    if call.rules > 2:
        said = f"{call.rules:,} rules, the first for {call.when[0]}"
    else:
        said = "; or ".join(f"rule {call.numbers[index]}, for {when}" for index, when in enumerate(call.when))
    sign = {"added": "+ added: ", "removed": "− removed: "}.get(call.mark, "")
    way = " (goto: no way back)" if call.kind == "goto" else ""
    count = f" ({call.packets:,} packets)" if call.packets else ""
    return wrap(f"{sign}{shorten(said, 160)}{way}{count}", _WHEN_ROOM, SMALL)


def _thickness(call: Call) -> float:
    """The width of a wire grows with the number of packets: one pixel for each power of ten."""
    return 1.5 if not call.packets else min(7.0, 1.5 + 0.8 * len(str(call.packets)))
