"""Control flow of a function: basic blocks, the order in which they are run, liveness."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from ptxvm.types import Function, Instruction, Not, Special, Symbol, Vector

Effects = Sequence[tuple[list[str], list[str]]]  # (defined, used) registers of each instruction

# Functions that the runtime provides, executed where they are called.
BUILT_IN = {"__assertfail", "vprintf", "malloc", "free"}
JUMPS = {"bra", "brx"}
EXITS = {"ret", "exit", "trap"}
# Operations for which the lanes of a warp must have come together again.
MEETINGS = {
    "shfl",
    "vote",
    "match",
    "redux",
    "elect",
    "ldmatrix",
    "stmatrix",
    "movmatrix",
    "mma",
    "wmma",
    "wgmma",
}

_SAME_IN_A_WARP = {"vote", "redux", "activemask", "bar", "barrier"}  # results alike in all lanes
_OWN_RESULT = {
    "atom",
    "call",
    "elect",
    "match",
    "shfl",
    "mbarrier",
    "ldmatrix",
    "movmatrix",
    "mma",
    "wmma",
    "wgmma",
}
_LANE = ("%tid", "%laneid", "%lanemask")


@dataclass(frozen=True)
class Block:
    """Instructions [first, last_exclusive) that run one after the other.

    `terminator` is the jump or exit that ends it, None where it runs on into the next. Successors
    of a conditional branch are (taken, fall through); a guarded `ret` has (fall through,).
    """

    index: int
    first: int
    last_exclusive: int
    successors: tuple[int, ...]
    terminator: Instruction | None


def meets(ins: Instruction) -> bool:
    """Whether lanes that branched apart must be together at this instruction."""
    return ins.parts[0] in MEETINGS or ins.parts[:2] == ("bar", "warp")


def waits(ins: Instruction) -> bool:
    """Whether the instruction stands alone in its block: threads may have to stay there."""
    return (ins.parts[0] in ("bar", "barrier") and ins.parts[:2] != ("bar", "warp")) or (
        ins.parts[0] == "call" and callee(ins) not in BUILT_IN
    )


def callee(ins: Instruction) -> str:
    """The function that a `call` names; "" for a call through a register."""
    target = ins.operands[1]
    return target.name if isinstance(target, Symbol) else ""


def targets(function: Function, ins: Instruction) -> list[int]:
    """Instruction indices that a jump may go to."""
    if ins.parts[0] == "bra":
        labels = ins.operands[:1]
    else:
        table = ins.operands[-1]
        labels = table.items if isinstance(table, Vector) else ()
    return [function.labels[o.name] for o in labels if isinstance(o, Symbol)]


def blocks_of(function: Function, effects: Effects) -> list[Block]:
    """The reachable blocks in the order described at `order`.

    A block ends at a jump or exit and before its target; barriers and calls stand alone. Where lanes
    of a warp may have parted, a block also begins at the first operation for which they must meet.
    """
    instructions = function.instructions
    count = len(instructions)
    starts = _starts(function, effects)
    firsts = sorted(s for s in starts if s < count)
    number = {first: i for i, first in enumerate(firsts)}
    ends = [*firsts[1:], count]
    successors: list[list[int]] = []
    terminators: list[Instruction | None] = []
    for last in ends:
        ins = instructions[last - 1]
        base = ins.parts[0]
        following = [last] if last < count else []
        if base in JUMPS:
            goes = targets(function, ins) + (following if ins.guard is not None else [])
        elif base in EXITS:
            goes = following if ins.guard is not None else []
        else:
            goes = following
        successors.append([number[g] for g in goes if g < count])
        terminators.append(ins if base in JUMPS or base in EXITS else None)
    sequence = order(successors)
    place = {old: new for new, old in enumerate(sequence)}
    return [
        Block(new, firsts[old], ends[old], tuple(place[s] for s in successors[old]), terminators[old])
        for new, old in enumerate(sequence)
    ]


def _starts(function: Function, effects: Effects) -> set[int]:
    """Where blocks begin."""
    starts = {0}
    guards: set[str] = set()  # predicates that jumps and exits depend on
    splits = not function.entry  # can lanes of a warp ever part?
    for i, ins in enumerate(function.instructions):
        base = ins.parts[0]
        if base in JUMPS:
            starts.add(i + 1)
            starts.update(targets(function, ins))
            splits = splits or base == "brx"
            guards.update(_guard(ins))
        elif base in EXITS:
            starts.add(i + 1)
            guards.update(_guard(ins))
        elif waits(ins):
            starts.update((i, i + 1))
            splits = splits or base == "call"
    if splits or (guards and guards & varying(function, effects)):
        together = False
        for i, ins in enumerate(function.instructions):
            together = together and i not in starts
            if not together and meets(ins):
                starts.add(i)
                together = True
    return starts


def _guard(ins: Instruction) -> set[str]:
    if ins.guard is None:
        return set()
    return {ins.guard.register.name if isinstance(ins.guard, Not) else ins.guard.name}


def varying(function: Function, effects: Effects) -> set[str]:
    """Registers that may differ between the lanes of a warp, if no branch ever parts them.

    What is computed from parameters, block indices and the like alone is the same in all lanes; so
    is what a vote gives, and what is loaded from one address for all.
    """
    users: dict[str, list[int]] = {}
    todo: list[str] = []
    found: set[str] = set()

    def spread(index: int) -> None:
        for name in effects[index][0]:
            if name not in found:
                found.add(name)
                todo.append(name)

    for i, ins in enumerate(function.instructions):
        defined, used = effects[i]
        if not defined or ins.parts[0] in _SAME_IN_A_WARP:
            continue
        for name in used:
            users.setdefault(name, []).append(i)
        own = ins.parts[0] in _OWN_RESULT or (ins.parts[0] == "ld" and "local" in ins.parts)
        if own or any(isinstance(o, Special) and o.name.startswith(_LANE) for o in ins.operands):
            spread(i)
    while todo:
        for i in users.get(todo.pop(), ()):
            spread(i)
    return found


# -- order -----------------------------------------------------------------------------------------
def order(successors: Sequence[Sequence[int]], entry: int = 0) -> list[int]:
    """The blocks that `entry` reaches, in a reverse post-order that keeps loops together.

    Every block comes before its successors but for back edges, and what follows a loop comes after
    all of the loop. So running the lowest block first makes threads meet again where paths join,
    and wait behind a loop for each other.
    """
    reached = _reachable(successors, entry)
    predecessors: dict[int, list[int]] = {n: [] for n in reached}
    for n in reached:
        for s in successors[n]:
            predecessors[s].append(n)
    result: list[int] = []
    todo: list[int | set[int]] = [reached]
    while todo:
        item = todo.pop()
        if isinstance(item, int):
            result.append(item)
            continue
        pieces: list[int | set[int]] = []
        for component in _sorted_components(item, successors):
            if len(component) == 1:
                pieces.append(component[0])
                continue
            inside = set(component)
            heads = [n for n in component if n == entry or any(p not in inside for p in predecessors[n])]
            head = entry if entry in inside else min(heads)
            inside.remove(head)
            pieces += [head, inside]
        todo += reversed(pieces)
    return result


def _reachable(successors: Sequence[Sequence[int]], entry: int) -> set[int]:
    reached, todo = {entry}, [entry]
    while todo:
        for s in successors[todo.pop()]:
            if s not in reached:
                reached.add(s)
                todo.append(s)
    return reached


def _sorted_components(nodes: set[int], successors: Sequence[Sequence[int]]) -> list[list[int]]:
    """Strongly connected components of a part of the graph, topologically, ties by text order."""
    component_of, components = _components(nodes, successors)
    waiting = [0] * len(components)
    goes: list[set[int]] = [set() for _ in components]
    for n in nodes:
        for s in successors[n]:
            if s in nodes and component_of[s] != component_of[n] and component_of[s] not in goes[component_of[n]]:
                goes[component_of[n]].add(component_of[s])
                waiting[component_of[s]] += 1
    ready = [(min(c), i) for i, c in enumerate(components) if not waiting[i]]
    heapq.heapify(ready)
    result = []
    while ready:
        _, i = heapq.heappop(ready)
        result.append(components[i])
        for j in goes[i]:
            waiting[j] -= 1
            if not waiting[j]:
                heapq.heappush(ready, (min(components[j]), j))
    return result


def _components(nodes: set[int], successors: Sequence[Sequence[int]]) -> tuple[dict[int, int], list[list[int]]]:
    """Tarjan's algorithm without recursion."""
    number: dict[int, int] = {}
    low: dict[int, int] = {}
    component_of: dict[int, int] = {}
    components: list[list[int]] = []
    path: list[int] = []
    for root in sorted(nodes):
        if root in number:
            continue
        number[root] = low[root] = len(number)
        path.append(root)
        calls = [(root, iter(successors[root]))]
        while calls:
            node, rest = calls[-1]
            for s in rest:
                if s not in nodes or s in component_of:
                    continue
                if s in number:
                    low[node] = min(low[node], number[s])
                    continue
                number[s] = low[s] = len(number)
                path.append(s)
                calls.append((s, iter(successors[s])))
                break
            else:
                calls.pop()
                if calls:
                    low[calls[-1][0]] = min(low[calls[-1][0]], low[node])
                if low[node] == number[node]:
                    component: list[int] = []
                    while not component or component[-1] != node:
                        component.append(path.pop())
                        component_of[component[-1]] = len(components)
                    components.append(component)
    return component_of, components


# -- liveness --------------------------------------------------------------------------------------
def liveness(blocks: Sequence[Block], effects: Effects) -> tuple[list[frozenset[str]], list[frozenset[str]]]:
    """Registers wanted at the beginning and at the end of each block."""
    wanted: list[set[str]] = []  # used before any definition in the block
    given: list[set[str]] = []
    for block in blocks:
        first_used: set[str] = set()
        defined: set[str] = set()
        for i in range(block.first, block.last_exclusive):
            defines, uses = effects[i]
            for name in uses:
                if name not in defined:
                    first_used.add(name)
            defined.update(defines)
        wanted.append(first_used)
        given.append(defined)
    predecessors: list[list[int]] = [[] for _ in blocks]
    for block in blocks:
        for s in block.successors:
            predecessors[s].append(block.index)
    live_in = [set(w) for w in wanted]
    live_out: list[set[str]] = [set() for _ in blocks]
    todo = list(range(len(blocks)))
    queued = set(todo)
    while todo:
        b = todo.pop()  # from the last block on
        queued.discard(b)
        out = set().union(*(live_in[s] for s in blocks[b].successors))
        live_out[b] = out
        new = wanted[b] | (out - given[b])
        if new != live_in[b]:
            live_in[b] = new
            for p in predecessors[b]:
                if p not in queued:
                    queued.add(p)
                    todo.append(p)
    return [frozenset(x) for x in live_in], [frozenset(x) for x in live_out]
