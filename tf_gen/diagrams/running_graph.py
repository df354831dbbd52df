"""TensorFlow's graph of one update of a model, as TensorBoard gets it, grouped and drawn.

An update has one step (`vae`) or two (D's step, then that of its opponents). A step has a forward
part, a gradient part and the optimiser. In the first two, each call of a network is a name scope
and forms a group. Operations outside of scopes are grouped by their place: before, between or after
networks.
"""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tf_gen import models
from tf_gen.diagrams.drawing import PANEL, SMALL, WIDTH, Drawing

NETWORKS = ("encoder", "decoder", "generator", "discriminator")
FORWARD, GRADIENT, OPTIMISER = "forward", "gradient", "optimiser"


# ---- The graph ----------------------------------------------------------------------------------


@dataclass(eq=False)
class Operation:
    """An operation. `inputs` are the operations whose tensors it takes, one for each tensor."""

    name: str
    type: str
    loop: str  # the loop that it is part of, or ""
    inputs: list
    is_variable: bool  # represents a variable
    in_optimiser: bool = False  # in the scope of an optimiser

    @property
    def path(self):
        """Its scopes and its name within them, without the scopes of the tape and of its loop."""
        return [part for part in self.name.split("/") if part not in ("gradient_tape", self.loop)]

    @property
    def network(self):
        """The scope of the call of a network that it is part of, or None."""
        scope, *rest = self.path
        return scope if rest and base(scope) in NETWORKS else None

    @property
    def of_tape(self):
        """Whether its name shows that it computes gradients. The tape begins with ones."""
        return self.name.startswith("gradient_tape/") or base(self.path[-1]) == "ones"


def base(scope):
    """The name of a scope without the numbers that TensorFlow appends to make it unique."""
    return re.sub(r"(_\d+)+$", "", scope)


def graph_of_update(name):
    """The graph of one update of the model `name` with preset `article`: a `GraphDef`.

    The update is only traced, so it needs no data.
    """
    recipe = models.load(name)
    config = recipe.PRESETS["article"]
    source = SimpleNamespace(images=np.zeros([1, 28, 28], np.uint8))
    batch = tf.nest.map_structure(
        lambda stack: tf.TensorSpec(stack.shape[1:], stack.dtype),
        recipe.blocks(config, source).spec,
    )
    update = tf.function(recipe.build(config).update, autograph=False)
    return update.get_concrete_function(batch).graph.as_graph_def()


def operations(graph_def):
    """All operations of a graph and its loops: a list of `Operation` in the order of creation."""
    functions = {function.signature.name: function for function in graph_def.library.function}
    found = []

    def read(nodes, known, loop=""):
        for node in nodes:
            names = [name for name in node.input if not name.startswith("^")]
            inputs = [known[name.split(":")[0]] for name in names]
            is_variable = node.op == "Placeholder" and node.attr["dtype"].type == tf.resource
            known[node.name] = Operation(node.name, node.op, loop, inputs, is_variable)
            found.append(known[node.name])
            if node.op in ("While", "StatelessWhile"):
                for part in ("cond", "body"):
                    function = functions[node.attr[part].func.name]
                    arguments = [argument.name for argument in function.signature.input_arg]
                    outer = dict(zip(arguments, inputs, strict=True))
                    read(function.node_def, outer, node.name)

    read(graph_def.node, {})
    # a scope in which variables are assigned is that of an optimiser
    scopes = {(o.loop, o.path[0]) for o in found if o.type.startswith("Assign") and o.path[1:]}
    for operation in found:
        operation.in_optimiser = (operation.loop, operation.path[0]) in scopes
    return found


# ---- Groups -------------------------------------------------------------------------------------


class Group(NamedTuple):
    """Operations that belong together."""

    step: int  # -1 for operations outside of all steps
    part: str  # part of the step; or "variables"; or "rest": the results and what surrounds loops
    name: str = ""  # scope of the call of a network; or "data", "losses", "between decoder", ...


def grouped(found):
    """The groups of operations: a dict of `Operation` to `Group`."""
    parts = _parts(found)
    # the calls of networks before and after an operation in its part of its step, and what it leads
    # to: gradients, an optimiser, the assignment of a variable
    before, after, leads = (defaultdict(set) for _ in range(3))
    for operation in found:
        for source in operation.inputs:
            if parts[source] == parts[operation]:
                before[operation] |= before[source] | {source.network} - {None}
    for operation in reversed(found):
        if operation.type.startswith("Assign"):
            leads[operation].add("variable")
        own = {GRADIENT} if operation.of_tape else {OPTIMISER} if operation.in_optimiser else set()
        for source in operation.inputs:
            leads[source] |= leads[operation] | own
            if parts[source] == parts[operation]:
                after[source] |= after[operation] | {operation.network} - {None}

    def group(operation):
        (step, part), network = parts[operation], operation.network
        sources, targets = before[operation], after[operation]
        known = operation.of_tape or operation.in_optimiser or part not in (GRADIENT, OPTIMISER)
        if not known and not leads[operation] & {GRADIENT, OPTIMISER}:
            # it counts the updates, or adds up losses
            return Group(step, OPTIMISER) if leads[operation] else Group(-1, "rest")
        if part not in (FORWARD, GRADIENT):
            return Group(step, part)
        if network or sources & targets:  # or it adds the outputs of two layers of one call
            return Group(step, part, network or min(sources & targets))
        if part == FORWARD and not targets:
            return Group(step, part, "losses")
        if not sources:
            return Group(step, part, "data" if part == FORWARD else "losses")
        if not targets and OPTIMISER in leads[operation]:  # the sum over two calls of a network
            return Group(step, OPTIMISER)
        return Group(step, part, " ".join(["between", *sorted({base(s) for s in sources})]))

    groups = {operation: group(operation) for operation in found}
    users = {source: user for user in reversed(found) for source in user.inputs}
    for operation in found:  # a constant belongs to the first operation that uses it
        if operation.type == "Const" and operation in users:
            groups[operation] = groups[users[operation]]
    return groups


def _parts(found):
    """The step and the part of each operation, from the order in which they were created."""
    parts, step, part, loop = {}, 0, FORWARD, None
    looped = any(operation.loop for operation in found)
    for operation in found:
        if operation.is_variable or (looped and not operation.loop):
            parts[operation] = (-1, "variables" if operation.is_variable else "rest")
            continue
        if loop not in (None, operation.loop):
            step, part = step + 1, FORWARD
        loop = operation.loop
        if operation.in_optimiser:
            part = OPTIMISER
        elif operation.of_tape:
            part = GRADIENT
        elif part == OPTIMISER and operation.network:
            step, part = step + 1, FORWARD
        parts[operation] = (step, part)
    for operation in found:  # an input of the update belongs to the first step that uses it
        if operation.type == "Placeholder" and parts[operation][0] >= 0:
            users = [parts[user][0] for user in found if operation in user.inputs]
            parts[operation] = (min(users), FORWARD)
    return parts


def assigned(found, groups):
    """The owners of the variables that each step's optimiser assigns: a dict of step to `Counter`.

    An owner is the name of a network, or "" for the optimiser's own variables.
    """
    owners = {}
    for operation in found:
        if operation.network:
            owners |= {o: base(operation.network) for o in operation.inputs if o.is_variable}
    pairs = {
        (groups[operation].step, operation.inputs[0])
        for operation in found
        if operation.type.startswith("Assign")
    }
    steps = defaultdict(Counter)
    for step, variable in pairs:
        steps[step][owners.get(variable, "")] += 1
    return steps


# ---- The drawing --------------------------------------------------------------------------------

COLUMNS, BOX, GAP, HEIGHT, LANE = 5, 92, 33, 48, 20
LEFT = (WIDTH - COLUMNS * BOX - (COLUMNS - 1) * GAP) / 2
FONT = 12  # so that "discriminator" fits into a box


def figure(word, model):
    """The graph of one update of `model`: a `Drawing`, and the facts for its description."""
    found = operations(graph_of_update(model))
    groups = grouped(found)
    sizes = Counter(groups.values())
    edges = Counter(
        (groups[source], groups[operation]) for operation in found for source in operation.inputs
    )
    steps = sorted({group.step for group in sizes} - {-1})
    updates = assigned(found, groups)
    drawing, top, said = Drawing(0), 12, []
    for step in steps:
        names = _Names(word, found, groups, step)
        part = _Step(drawing, word, names, step, sizes, edges)
        top = part.draw(top, len(steps) > 1, updates[step]) + 8
        parts = [word("comma").join(part.said[name]) for name in (FORWARD, GRADIENT, OPTIMISER)]
        said.append(word("step said").format(step + 1, *parts))
    totals = [
        word("totals").format(len(found), sum(edges.values())),
        word("others").format(sizes[Group(-1, "variables")], sizes[Group(-1, "rest")]),
    ]
    for number, words in enumerate(totals):
        drawing.text(24, top + 10 + 20 * number, words, SMALL, anchor="start")
    drawing.height = top + 46
    facts = {
        "model": model,
        "operations": len(found),
        "edges": sum(edges.values()),
        "steps": word("list").join(said),
        "others": totals[1],
    }
    return drawing, facts


class _Names:
    """The labels of the groups of a step."""

    def __init__(self, word, found, groups, step):
        self.word = word
        self.types = defaultdict(set)
        for operation in found:
            if operation.type != "Const":
                self.types[groups[operation]].add(operation.type)
        self.calls = defaultdict(list)  # the calls of each network, in order
        for group in self.types:
            if group.step == step and group.part == FORWARD and base(group.name) in NETWORKS:
                self.calls[base(group.name)].append(group.name)

    def __call__(self, group):
        """The label of a group, with the number of the call if a network has several."""
        name = base(group.name)
        if name in NETWORKS:
            calls = self.calls[name]
            number = f"{self.word('call')} {calls.index(group.name) + 1}" if calls[1:] else ""
            return self.word(name), number
        if (group.part, name) in ((FORWARD, "between encoder"), (GRADIENT, "between decoder")):
            return self.word("sampler"), ""
        if name.startswith("between"):
            types = self.types[group]
            return next(iter(types)) if len(types) == 1 else self.word("between"), ""
        return self.word(name), ""


class _Step:
    """The drawing of one step of the update."""

    def __init__(self, drawing, word, names, step, sizes, edges):
        self.drawing, self.word, self.names, self.step = drawing, word, names, step
        self.sizes = {group: size for group, size in sizes.items() if group.step == step}
        earlier = Group(step, FORWARD, "earlier")  # stands for all that comes from the step before
        self.edges = Counter()
        for (source, target), count in edges.items():
            if target.step == step and 0 <= source.step < step:
                self.sizes[earlier] = 0
                source = earlier
            if target.step == source.step == step and source != target:
                self.edges[source, target] += count
        self.gaps = Counter()  # how many lines go up and down in a gap
        self.said = defaultdict(list)  # by part, for the description

    def draw(self, top, numbered, updates):
        """Draw it from the height `top` on; return the height where it ends."""
        drawing, word = self.drawing, self.word
        place = len(drawing.parts)
        y = top + 10
        if numbered:
            y += 22
        layers = self.layers(FORWARD)
        depths = self.layers(GRADIENT)
        last = max(*layers.values(), *depths.values())
        start = max(layers.values())
        columns = {group: last - start + layer for group, layer in layers.items()}
        y = self.row(y, word("forward part"), columns, 1)
        taken = sum(
            count
            for (source, target), count in self.edges.items()
            if source.part == FORWARD and target.part == GRADIENT
        )
        caption = word("gradient part").format(taken)
        columns = {group: last - depth for group, depth in depths.items()}
        y = self.row(y + 6, caption, columns, -1)
        y = self.optimiser(y + 18, updates)
        title = f"{word('step')} {self.step + 1}" if numbered else ""
        frame = Drawing(0)
        frame.frame(12, top, WIDTH - 24, y + 10 - top, title)
        drawing.parts[place:place] = frame.parts  # behind all else
        return y + 10

    def layers(self, part):
        """The rank of each group of a part, from its beginning; calls of a network share a rank."""
        groups = [group for group in self.sizes if group.part == part]
        layers = dict.fromkeys(groups, 0)
        for _ in groups:
            for source, target in self.edges:
                if source in layers and target in layers:
                    layers[target] = max(layers[target], layers[source] + 1)
            for group in groups:
                alike = [g for g in groups if base(g.name) == base(group.name) in NETWORKS]
                layers[group] = max([layers[group], *(layers[g] for g in alike)])
        return layers

    def row(self, y, caption, columns, direction):
        """Draw the groups of a part in either direction; return the height where they end."""
        edges = [
            (source, target, self.edges[source, target])
            for source, target in self.edges
            if source in columns and target in columns
        ]
        long = [e for e in edges if abs(columns[e[0]] - columns[e[1]]) > 1]
        self.drawing.text(24, y + 8, caption, SMALL, anchor="start")
        lanes = y + 30
        y = lanes + LANE * len(long)
        self.boxes, bottom = {}, y
        order = {group: number for number, group in enumerate(self.sizes)}
        for column in range(COLUMNS):
            below = y
            for group in sorted((g for g in columns if columns[g] == column), key=order.get):
                x = LEFT + column * (BOX + GAP)
                name, call = self.names(group)
                entering = sum(target == group for _, target, _ in edges)
                height = max(HEIGHT, 18 * entering + 8) + 16 * bool(call)
                lines = [call] if call else []
                size = self.sizes[group]
                if group.name != "earlier":
                    lines.append(f"{size} {self.word('operations' if size > 1 else 'operation')}")
                    called = name + (self.word("brackets").format(call) if call else "")
                    self.said[group.part].append(f"{called} {size}")
                kind = "loss" if group.name == "losses" or direction < 0 else "network"
                if base(group.name) not in NETWORKS and group.name != "losses" and direction > 0:
                    kind = "data"
                self.boxes[group] = self.drawing.box(
                    x, below, BOX, height, kind, name, *lines, bold=False, size=FONT
                )
                below += height + 12
            bottom = max(bottom, below - 12)
        ports = defaultdict(int)
        for source, target, count in sorted(edges, key=lambda edge: edge not in long):
            ports["out", source] += 1
            ports["in", target] += 1
            a, b = self.boxes[source], self.boxes[target]
            leaving = sum(e[0] == source for e in edges)
            entering = sum(e[1] == target for e in edges)
            out, into = (a.right, b.left) if direction > 0 else (a.left, b.right)
            start = out(ports["out", source] / (leaving + 1))
            end = into(ports["in", target] / (entering + 1))
            lane = None
            if (source, target, count) in long:
                lane = lanes + LANE * long.index((source, target, count))
            self.connect(start, end, lane, count, direction)
        return bottom

    def connect(self, start, end, lane, count, direction):
        """An arrow with its number. If boxes are in the way, it passes above them."""
        (x0, y0), (x1, y1) = start, end
        if lane is None and y0 == y1:
            points = [start, end]
        elif lane is None:
            x = self.gap(x0, direction)
            points = [start, (x, y0), (x, y1), end]
        else:
            x, x2 = self.gap(x0, direction), self.gap(x1 - direction * GAP, direction)
            points = [start, (x, y0), (x, lane), (x2, lane), (x2, y1), end]
        self.drawing.arrow(*points, gradient=direction < 0)
        x, y = (x1 - direction * 17, y1 - 8) if lane is None else ((x0 + x1) / 2, lane - 8)
        self.number(x, y, count)

    def number(self, x, y, count):
        """The number of tensors along an arrow, readable over other lines."""
        width = 8 * len(str(count))
        self.drawing.add("rect", x=x - width / 2, y=y - 7, width=width, height=13, fill=PANEL)
        self.drawing.text(x, y, str(count), FONT)

    def gap(self, x, direction):
        """The place for the next vertical line in the gap that begins at x."""
        self.gaps[x, direction] += 1
        return x + direction * 4 * self.gaps[x, direction]

    def optimiser(self, y, updates):
        """Draw the optimiser below the gradients that it takes; return the height where it ends."""
        group = Group(self.step, OPTIMISER)
        owners = [
            f"{self.word(name or 'of its own')} {count}"
            for name, count in sorted(updates.items(), key=lambda item: (not item[0], item))
        ]
        title = f"{self.word('optimiser')}{self.word('colon')}{self.sizes[group]} "
        title += self.word("operations")
        assigns = self.word("assigns") + self.word("colon") + " + ".join(owners)
        self.said[OPTIMISER] = [title, assigns]
        self.drawing.box(24, y, WIDTH - 48, 46, "learns", title, assigns, bold=False)
        for source, target in self.edges:
            if target != group or source not in self.boxes:
                continue
            box = self.boxes[source]
            column = [b for b in self.boxes.values() if b.x == box.x]
            if box == max(column, key=lambda b: b.y):
                start = box.bottom(0.3)
                points = [start, (start[0], y)]
            else:
                start = box.left(0.85)
                x = self.gap(start[0], -1)
                points = [start, (x, start[1]), (x, y)]
            self.drawing.arrow(*points, gradient=True)
            self.number(points[-1][0] + 12, y - 10, self.edges[source, target])
        return y + 46
