"""Programs of random steps: values, operators on them, and shrinking to the steps that matter."""

import dataclasses

import torch

from draw import MOST_ELEMENTS


class Reject(Exception):
    """What was drawn does not fit here; draw again."""


@dataclasses.dataclass
class Step:
    """One value: an input, a constant, or an operator's result."""

    text: str
    call: object = None  # of the values of `args`
    args: tuple = ()
    module: object = None  # called in place of `call`
    role: str = "operator"  # or "input", "constant"
    sharp: bool = False  # tiny changes of an argument can change the result wholly
    moves: bool = False  # only moves values: no rounding


class Network(torch.nn.Module):
    """Runs steps in their order and returns the values of `outputs`."""

    def __init__(self, steps, values, outputs):
        super().__init__()
        self.steps = steps
        self.outputs = outputs
        for at, step in enumerate(steps):
            if step.role == "constant":
                self.register_buffer(f"constant{at}", values[at].clone())
            elif step.module is not None:
                self.add_module(f"module{at}", step.module)

    def forward(self, *inputs):
        values, given = [], iter(inputs)
        for at, step in enumerate(self.steps):
            if step.role == "input":
                values.append(next(given))
            elif step.role == "constant":
                values.append(getattr(self, f"constant{at}"))
            else:
                call = getattr(self, f"module{at}") if step.module is not None else step.call
                values.append(call(*[values[k] for k in step.args]))
        picked = [values[k] for k in self.outputs]
        return picked[0] if len(picked) == 1 else tuple(picked)


class Pool:
    """The steps so far with their values for the example inputs, by which the next is chosen."""

    def __init__(self, draw, fp16=False):
        self.draw = draw
        self.fp16 = fp16
        self.steps = []
        self.values = []
        self.exact = []  # the same in every type: sharp operators may read it
        self.outputs = []

    def _append(self, step, value, exact):
        self.steps.append(step)
        self.values.append(value)
        self.exact.append(exact)
        return len(self.steps) - 1

    def _stored(self, value):
        """As fp16 holds it, where it will be held so."""
        if self.fp16 and value.is_floating_point():
            return value.half().float()
        return value

    def input(self, value):
        value = self._stored(value)
        text = f"input {value.dtype} {list(value.shape)}".replace("torch.", "")
        return self._append(Step(text, role="input"), value, True)

    def constant(self, value):
        value = self._stored(value)
        text = f"constant {value.dtype} {list(value.shape)}".replace("torch.", "")
        return self._append(Step(text, role="constant"), value, True)

    def operand(self, value):
        """An input or a constant."""
        return self.constant(value) if self.draw.chance(0.4) else self.input(value)

    def apply(self, step, most_elements=MOST_ELEMENTS):
        """Appends an operator, or rejects it by what it computes."""
        args = [self.values[k] for k in step.args]
        all_exact = all(self.exact[k] for k in step.args)
        if step.sharp and not all_exact:
            raise Reject("a sharp operator on a rounded value")
        call = step.module.eval() if step.module is not None else step.call
        try:
            with torch.no_grad():
                value = call(*[arg.clone() for arg in args])
        except (RuntimeError, IndexError, ValueError, TypeError) as error:
            raise Reject(str(error)) from error
        if not isinstance(value, torch.Tensor) or not 0 < value.numel() <= most_elements:
            raise Reject("of no use here")
        if value.is_floating_point():
            largest = 1e3 if self.fp16 else 1e5
            if not value.isfinite().all() or value.abs().max() > largest:
                raise Reject("out of range")
        elif value.dtype != torch.bool and value.abs().max() >= 1 << 23:
            raise Reject("beyond what floats hold")
        exact = all_exact and (step.moves or step.sharp or not value.is_floating_point())
        return self._append(step, value, exact)

    def pick(self, fits):
        """A value that fits, mostly a late one."""
        fitting = [k for k, value in enumerate(self.values) if fits(value)]
        if not fitting:
            raise Reject("no value fits")
        if self.draw.chance(0.6):
            return fitting[-1]
        return self.draw.choice(fitting)

    def floating(self, rank=None, least_rank=0):
        return self.pick(
            lambda v: (
                v.is_floating_point() and v.ndim >= least_rank and (rank is None or v.ndim == rank)
            )
        )

    def network(self):
        """The module and its inputs, without the steps that no output reads."""
        wanted = set(self.outputs)
        for at in reversed(range(len(self.steps))):
            if at in wanted:
                wanted.update(self.steps[at].args)
        kept = sorted(wanted)
        number = {old: new for new, old in enumerate(kept)}
        steps = [
            dataclasses.replace(self.steps[k], args=tuple(number[a] for a in self.steps[k].args))
            for k in kept
        ]
        values = [self.values[k] for k in kept]
        inputs = tuple(v.clone() for s, v in zip(steps, values) if s.role == "input")
        return Network(steps, values, [number[k] for k in self.outputs]).eval(), inputs

    def text(self):
        """One line a step, of those that an output reads."""
        network, _ = self.network()
        lines = []
        for at, step in enumerate(network.steps):
            args = ", ".join(f"v{k}" for k in step.args)
            lines.append(f"v{at} = {step.text}" + (f" ({args})" if args else ""))
        lines.append("return " + ", ".join(f"v{k}" for k in network.outputs))
        return "\n".join(lines)

    def smaller(self):
        """Pools with fewer steps, to try in turn: each single value, the earliest first."""
        for at, step in enumerate(self.steps):
            if step.role != "operator" or [at] == self.outputs:
                continue
            pool = Pool(self.draw, self.fp16)
            pool.steps, pool.values, pool.exact = self.steps, self.values, self.exact
            pool.outputs = [at]
            yield pool

    def cut(self, at):
        """The value `at` becomes an input: what made it goes."""
        pool = Pool(self.draw, self.fp16)
        pool.steps, pool.values = list(self.steps), list(self.values)
        pool.exact, pool.outputs = list(self.exact), list(self.outputs)
        value = pool._stored(self.values[at])
        text = f"input {value.dtype} {list(value.shape)}".replace("torch.", "")
        pool.steps[at], pool.values[at] = Step(text, role="input"), value
        return pool
