"""Float32 multiply-adds that do not depend on each other, run together.

A kernel that multiplies matrices in registers is long rows of `fma`: many sums, each a chain of multiply-adds. Run one
by one on a few thousand lanes, each costs more for calling NumPy than for its arithmetic. So the links of all chains
that are equally far from their beginning are one operation on a stack of arrays (`rounding.fma_chains`).

An `fma` reads and writes registers only, so it may run later than it stands, up to the first instruction that reads its
result or overwrites one of its operands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass, field

from ptxvm.codegen.emitter import BlockWriter
from ptxvm.roles import roles
from ptxvm.rounding import Links
from ptxvm.types import Immediate, Instruction, Operand, Register

LEAST_CHAINS = 4  # that run together; fewer gain nothing
FORMS = {("fma", "rn", "f32"): False, ("fma", "rn", "ftz", "f32"): True}  # -> whether subnormals are flushed


@dataclass
class Chains:
    """Multiply-adds to run together: each chain begins with its own sum, and each link adds to that before it."""

    flush: bool
    chains: list[list[Instruction]] = field(default_factory=list)
    defined: dict[str, list[Instruction]] = field(default_factory=dict)  # result -> its chain
    used: set[str] = field(default_factory=set)

    @property
    def last(self) -> Instruction:
        """The one that stands last in the text."""
        return max((chain[-1] for chain in self.chains), key=lambda ins: ins.index)

    def add(self, ins: Instruction, chain: list[Instruction] | None) -> None:
        """Put an instruction at the end of a chain, or of a new one."""
        if chain is None:
            chain = []
            self.chains.append(chain)
        chain.append(ins)
        self.defined[_name(ins.operands[0])] = chain
        self.used |= {_name(o) for o in ins.operands[1:]}


def arrange(inside: Sequence[Instruction], live_out: Set[str]) -> list[Instruction | Chains]:
    """The instructions of a block in the order to run them, with `Chains` in place of those that run together."""
    if sum(ins.parts in FORMS for ins in inside) < 2 * LEAST_CHAINS:
        return list(inside)
    effects = [roles(ins)[:2] for ins in inside]
    uses = Counter(name for _, used in effects for name in set(used))
    placed: list[tuple[float, Instruction | Chains]] = []
    pending: Chains | None = None

    def flush(place: float) -> None:
        nonlocal pending
        if pending is not None and len(pending.chains) >= LEAST_CHAINS:
            placed.append((place, pending))
        elif pending is not None:  # where they stand, so that their operands can be dropped early
            placed.extend((ins.index, ins) for chain in pending.chains for ins in chain)
        pending = None

    for ins, (defined, used) in zip(inside, effects, strict=True):
        wanted = ins.parts in FORMS and ins.guard is None and all(_plain(o) for o in ins.operands)
        if pending is not None and (pending.used | pending.defined.keys()) & set(defined):
            flush(ins.index - 0.5)
        if not wanted:
            if pending is not None and pending.defined.keys() & set(used):
                flush(ins.index - 0.5)
            placed.append((ins.index, ins))
            continue
        _, a, b, c = ins.operands
        before = pending.defined.get(_name(c)) if pending is not None else None
        follows = before is not None and uses[_name(c)] == 1 and _name(c) not in live_out
        if pending is not None and (
            pending.flush != FORMS[ins.parts]
            or {_name(a), _name(b)} & pending.defined.keys()
            or (before is not None and not follows)
        ):
            flush(ins.index - 0.5)
        pending = pending or Chains(FORMS[ins.parts])
        pending.add(ins, before if follows and pending.defined else None)
    flush(inside[-1].index - 0.5 if inside[-1].parts not in FORMS else inside[-1].index + 0.5)
    placed.sort(key=lambda item: item[0])
    return [item for _, item in placed]


def write(w: BlockWriter, run: Chains) -> None:
    """One call for all the chains, longest first, and their last sums."""

    def factors(chain: list[Instruction]) -> tuple[int, str, str]:
        return -len(chain), _name(chain[0].operands[1]), _name(chain[0].operands[2])

    chains = sorted(run.chains, key=factors)
    inputs: dict[str, int] = {}
    plan = []
    for i in range(len(chains[0])):
        links = [chain[i].operands for chain in chains if i < len(chain)]
        left, right = ([inputs.setdefault(w.use(o[side], "f32"), len(inputs)) for o in links] for side in (1, 2))
        plan.append(_links(left, right))
    starts = ", ".join(w.use(chain[0].operands[3], "f32") for chain in chains)
    name = w.let(f"nm.fma_chains([{', '.join(inputs)}], [{starts}], {w.constant(tuple(plan))}, {run.flush})")
    for i, chain in enumerate(chains):
        target = chain[-1].operands[0]
        w.define(target, f"{name}[{i}]", "f32")
        if run.flush:
            w.flushed.add(w.use(target, "f32"))


def _links(left: list[int], right: list[int]) -> Links:
    """A step of all chains: which factors it multiplies, each side without repetition."""
    rows, columns = list(dict.fromkeys(left)), list(dict.fromkeys(right))
    pairs = tuple((rows.index(a), columns.index(b)) for a, b in zip(left, right, strict=True))
    grid = pairs == tuple((a, b) for a in range(len(rows)) for b in range(len(columns)))
    return Links(tuple(rows), tuple(columns), pairs, grid)


def _plain(operand: Operand) -> bool:
    return isinstance(operand, Register | Immediate)


def _name(operand: Operand) -> str:
    return operand.name if isinstance(operand, Register) else ""
