#!/usr/bin/env python3
"""The expert block said once more, token by token, in plain Python and double precision; writes the vectors beside it.

    python3 oracle.py        # needs nothing but Python 3; writes NAME.safetensors for every case below

Forward values follow the definition of the Stratified Mixture of Experts (Xu et al., Findings of EMNLP 2023) and of the
blocks it is compared with. Gradients are central differences of the whole loss, so they share no derivation with the
program that they test. A case is refused when a perturbation changes the routing, where no derivative exists.
"""
import json
import math
import random
import struct
from pathlib import Path

D, D_FFN, BATCH, TOKENS, LN_EPS = 8, 12, 2, 6, 1e-5
STEP = 1e-7  # so small that hardly ever a ReLU changes sides; double precision leaves 8 digits

CASES = {  # kind, experts of each stratum or layer, top-k, capacity limit, normalization
    "moe-4": ("moe", [4], 2, False, "paper"),
    "moe-4-capacity": ("moe", [4], 2, True, "paper"),
    "switch-4": ("switch", [4], 1, False, "paper"),
    "cmr-4": ("cmr", [4], 2, False, "paper"),
    "stacked-2x2": ("stacked", [2, 2], 2, False, "paper"),
    "smoe-2-3-paper": ("smoe", [2, 3], 2, False, "paper"),
    "smoe-2-3": ("smoe", [2, 3], 2, False, "reference"),
    "smoe-2-2-2-capacity-paper": ("smoe", [2, 2, 2], 2, True, "paper"),
    "smoe-2-2-2-capacity": ("smoe", [2, 2, 2], 2, True, "reference"),
    "smoe-2-3-top1-paper": ("smoe", [2, 3], 1, False, "paper"),
    "smoe-4": ("smoe", [4], 2, False, "reference"),  # the authors' one stratum: an MoE with a norm on leaving
    "smoe-3-3-top3-paper": ("smoe", [3, 3], 3, False, "paper"),
}


def f32(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


def dot(a, b):
    return math.fsum(p * q for p, q in zip(a, b))


def layer_norm(p, index, x):
    mean = math.fsum(x) / len(x)
    variance = math.fsum((v - mean) ** 2 for v in x) / len(x)
    scale, shift = p[f"norm.{index}.weight"][1], p[f"norm.{index}.bias"][1]
    return [(v - mean) / math.sqrt(variance + LN_EPS) * s + t for v, s, t in zip(x, scale, shift)]


def rows(p, name):
    shape, values = p[name]
    return [values[i * shape[1]:(i + 1) * shape[1]] for i in range(shape[0])]


def linear(p, name, x):
    out = [dot(row, x) for row in rows(p, name + ".weight")]
    return [o + b for o, b in zip(out, p[name + ".bias"][1])] if name + ".bias" in p else out


def ffn(p, name, x):
    return linear(p, name + ".fc2", [max(0.0, h) for h in linear(p, name + ".fc1", x)])


def softmax(x):
    top = max(x)
    powers = [math.exp(v - top) for v in x]
    total = math.fsum(powers)
    return [v / total for v in powers]


def visit(p, stratum, first_expert, top_k, limited, inputs, routing):
    """One gate: {token: input} to {token: expert output}, {token: first choice} and the gate's balance loss."""
    probabilities = {t: softmax(linear(p, f"gate.{stratum}", x)) for t, x in inputs.items()}
    visible = len(next(iter(probabilities.values())))
    order = {t: sorted(range(visible), key=lambda e: -q[e])[:top_k] for t, q in probabilities.items()}
    limit = top_k * math.ceil(len(inputs) / visible) if limited else math.inf
    queue, kept = [0] * visible, {t: [] for t in inputs}
    for choice in range(top_k):  # all first choices in token order, then all second choices; dropped ones count too
        for t in inputs:
            expert = order[t][choice]
            if queue[expert] < limit:
                kept[t].append(expert)
            queue[expert] += 1
    outputs = {}
    for t, x in inputs.items():
        weights = [probabilities[t][e] for e in kept[t]]
        if top_k > 1:
            weights = [w / math.fsum(weights) for w in weights]
        parts = [ffn(p, f"experts.{first_expert + e}", x) for e in kept[t]]
        outputs[t] = [math.fsum(w * part[i] for w, part in zip(weights, parts)) for i in range(D)]
    share = [sum(order[t][0] == e for t in inputs) / len(inputs) for e in range(visible)]
    mean = [math.fsum(q[e] for q in probabilities.values()) / len(inputs) for e in range(visible)]
    routing.append((order, kept))
    return outputs, {t: first_expert + o[0] for t, o in order.items()}, visible * dot(share, mean)


def block(p, case, tokens):
    """All tokens through the block: outputs, balance loss, strata visited, mean CMR gate, routing."""
    kind, strata, top_k, limited, normalization = case
    starts = [sum(strata[:s]) for s in range(len(strata))]
    stratum_of = [s for s, count in enumerate(strata) for _ in range(count)]
    losses, visited, routing, used = [], [0] * len(tokens), [], None
    add = lambda a, b: [u + v for u, v in zip(a, b)]
    if kind in ("stacked", "cmr"):
        normed = [layer_norm(p, 0, x) for x in tokens]
        y = normed
        for s in range(len(strata)):
            out, _, loss = visit(p, s, starts[s], top_k, limited, dict(enumerate(y)), routing)
            y, visited = [out[t] for t in range(len(tokens))], [v + 1 for v in visited]
            losses.append(loss)
        if kind == "cmr":
            gate = [1 / (1 + math.exp(-linear(p, "cmr_gate", x)[0])) for x in normed]
            shared = [ffn(p, "shared", x) for x in normed]
            y = [[(1 - g) * a + g * b for a, b in zip(f, m)] for g, f, m in zip(gate, shared, y)]
            used = math.fsum(gate) / len(gate)
        return [add(a, b) for a, b in zip(y, tokens)], math.fsum(losses) / len(losses), visited, used, routing
    state, place = [list(x) for x in tokens], [0] * len(tokens)
    on_leaving = normalization == "reference"
    for s in range(len(strata)):
        here = [t for t in range(len(tokens)) if place[t] == s]
        if not here:
            continue
        inputs = {t: state[t] if on_leaving and s > 0 else layer_norm(p, s, state[t]) for t in here}
        out, first, loss = visit(p, s, starts[s], top_k, limited, inputs, routing)
        losses.append(loss)
        for t in here:
            visited[t] += 1
            state[t] = add(state[t], out[t])
            place[t] = stratum_of[first[t]] + 1
            if on_leaving:
                state[t] = layer_norm(p, place[t], state[t])
    return state, math.fsum(losses) / len(losses), visited, used, routing


def parameters(case, draw):
    kind, strata, _, _, normalization = case
    experts, p = sum(strata), {}
    new = lambda shape, scale, offset=0.0: (shape, [f32(offset + scale * draw()) for _ in range(math.prod(shape))])
    names = [f"experts.{e}" for e in range(experts)] + (["shared"] if kind == "cmr" else [])
    for name in names:
        p[name + ".fc1.weight"], p[name + ".fc1.bias"] = new([D_FFN, D], 0.5), new([D_FFN], 0.3)
        p[name + ".fc2.weight"], p[name + ".fc2.bias"] = new([D, D_FFN], 0.5), new([D], 0.3)
    for s, count in enumerate(strata):
        p[f"gate.{s}.weight"] = new([count if kind == "stacked" else sum(strata[s:]), D], 0.7)
    norms = len(strata) + (normalization == "reference") if kind == "smoe" else 1
    for index in range(norms):
        p[f"norm.{index}.weight"], p[f"norm.{index}.bias"] = new([D], 0.2, 1.0), new([D], 0.2)
    if kind == "cmr":
        p["cmr_gate.weight"], p["cmr_gate.bias"] = new([1, D], 0.5), new([1], 0.5)
    return p


def case_tensors(case, seed):
    generator = random.Random(seed)
    draw = lambda: generator.gauss(0.0, 1.0)
    p = parameters(case, draw)
    n = BATCH * TOKENS
    x = [[f32(draw()) for _ in range(D)] for _ in range(n)]
    grad_y = [[f32(draw()) for _ in range(D)] for _ in range(n)]
    y, balance, visited, used, routing = block(p, case, x)

    def loss():
        out, balance, _, used, routed = block(p, case, x)
        assert routed == routing, "a perturbation changed the routing; choose another seed"
        return math.fsum(dot(o, g) for o, g in zip(out, grad_y)) + balance + (used or 0.0)

    def slope(values, i):
        kept, ends = values[i], []
        for sign in (1, -1):
            values[i] = kept + sign * STEP
            ends.append(loss())
        values[i] = kept
        return (ends[0] - ends[1]) / (2 * STEP)

    flat = lambda matrix: [v for row in matrix for v in row]
    shape = [BATCH, TOKENS, D]
    tensors = {"x": (shape, flat(x)), "y": (shape, flat(y)), "grad_y": (shape, flat(grad_y))}
    tensors["grad_x"] = (shape, [slope(row, i) for row in x for i in range(D)])
    tensors["balance_loss"] = ([1], [balance])
    tensors["strata_visited"] = ([BATCH, TOKENS], [float(v) for v in visited])
    if used is not None:
        tensors["cmr_used_fraction"] = ([1], [used])
    for name, (of, values) in p.items():
        tensors["param." + name] = (of, list(values))
        tensors["grad." + name] = (of, [slope(values, i) for i in range(len(values))])
    return tensors


def write(path, metadata, tensors):
    header, data = {"__metadata__": metadata}, b""
    for name, (shape, values) in tensors.items():
        piece = struct.pack(f"<{len(values)}f", *values)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(piece)]}
        data += piece
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def main():
    for number, (name, case) in enumerate(CASES.items()):
        kind, strata, top_k, limited, normalization = case
        metadata = {"name": name, "kind": kind, "d_model": D, "d_ffn": D_FFN, "strata": ",".join(map(str, strata)),
                    "top_k": top_k, "batch": BATCH, "tokens": TOKENS,
                    "capacity": "training" if limited else "unlimited", "normalization": normalization}
        metadata = {key: str(value) for key, value in metadata.items()}
        tensors = case_tensors(case, 100 + number)
        write(Path(__file__).with_name(name + ".safetensors"), metadata, tensors)
        visits = [int(v) for v in tensors["strata_visited"][1]]
        print(f"{name:28} strata visited {visits}")


if __name__ == "__main__":
    main()
