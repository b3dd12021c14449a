#!/usr/bin/env python3
"""How long an update takes on n ranks: a model of `strata train` under MPI.

    strata inspect recipes/m15.toml --variant smoe-4-12 --json | bench/scaling.py --flops 4e13 --gbit 100

Weak scaling: every rank computes as many tokens, however many there are. What is counted, per update:

    compute   1.5 x tokens x FLOPs a token / FLOP/s of a rank; experts wait for the fullest rank (--imbalance). FLOPs a
              token are those of a source and a target token; a backward pass costs two forward passes
    tokens    spread experts: each visit sends its tokens out and their outputs back, and the same backward
    gradients each weight's gradient to its owner and the new weight back, 4 bytes each: 8 (n - 1) / n a weight that
              all n ranks hold, 8 (q - 1) / q one of the p-th part of the experts that q = n / p ranks hold. What is
              waited for: gradients travel while the backward pass goes on, but for the embedding's, which are whole
              only when it is over
    Adam      28 bytes a weight of a rank's share, at the memory's speed

Nothing else overlaps, as in the program. The constants of a cluster are measured by `mpirun -n 2 strata bench ranks`.
"""
import argparse
import json
import sys


def update(model, ranks, spread, args):
    """Seconds of an update on `ranks`, the experts of each block over `spread` of them: a dict by what takes them."""
    experts, parts = model["parts"]["experts"], model["parts"]
    other = sum(part["flops_per_token"] for name, part in parts.items() if name != "experts")
    imbalance = args.imbalance if spread > 1 else 1.0
    compute = 1.5 * args.tokens * (other + imbalance * experts["flops_per_token"]) / args.flops
    wire = args.gbit / 8 * 1e9
    # Half of the blocks are on a token's side. An expert FFN is 4 d d_ffn FLOPs.
    visits = experts["flops_per_token"] / (4 * args.d_model * args.d_ffn) / 2
    sent = visits * args.tokens * args.d_model * 4 * (1 - 1 / spread) * imbalance
    calls = 4 * args.blocks * args.strata
    tokens = 4 * sent / wire + calls * args.latency if spread > 1 else 0.0
    copies = ranks // spread
    held, shared = experts["parameters"] / spread, model["parameters"] - experts["parameters"]
    half = 4 * ((ranks - 1) / ranks * shared + (copies - 1) / copies * held) / wire
    last = 4 * (ranks - 1) / ranks * parts["embeddings"]["parameters"] / wire
    gradients = half + max(last, half - compute * 2 / 3)
    adam = 28 * (shared / ranks + held / copies) / args.memory
    return {"compute": compute, "tokens": tokens, "gradients": gradients, "adam": adam}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", default="1,8,64,512", help="numbers of ranks [%(default)s]")
    parser.add_argument("--spread", type=int, default=8, help="train.expert_parallel, at most the ranks [%(default)s]")
    parser.add_argument("--tokens", type=float, default=20000, help="source and target tokens a rank [%(default)s]")
    parser.add_argument("--flops", type=float, default=1e12, help="FLOP/s that a rank reaches [%(default)s]")
    parser.add_argument("--gbit", type=float, default=100, help="Gbit/s that a rank sends [%(default)s]")
    parser.add_argument("--latency", type=float, default=1e-5, help="seconds of the smallest exchange [%(default)s]")
    parser.add_argument("--memory", type=float, default=5e10, help="bytes/s of a rank's memory [%(default)s]")
    parser.add_argument("--imbalance", type=float, default=1.3, help="fullest rank against the mean [%(default)s]")
    parser.add_argument("--d-model", type=int, default=1024, help="width [%(default)s]")
    parser.add_argument("--d-ffn", type=int, default=4096, help="inner width of an expert [%(default)s]")
    parser.add_argument("--blocks", type=int, default=6, help="expert blocks [%(default)s]")
    parser.add_argument("--strata", type=int, default=2, help="strata of a block [%(default)s]")
    args = parser.parse_args()
    try:
        model = json.load(sys.stdin)
    except json.JSONDecodeError:
        sys.exit("standard input is not what `strata inspect RECIPE --json` prints")
    print(f"{model['name']}: {args.tokens:,.0f} tokens a rank, {args.flops:.3g} FLOP/s, {args.gbit:g} Gbit/s")
    print("ranks  spread  compute s  tokens s  gradients s   Adam s  update s    tokens/s  efficiency")
    alone = None
    for ranks in (int(n) for n in args.ranks.split(",")):
        spread = min(args.spread, ranks)
        parts = update(model, ranks, spread, args)
        whole = sum(parts.values())
        alone = alone or sum(update(model, 1, 1, args).values())
        columns = "  ".join(f"{parts[name]:{width}.3f}" for name, width in
                            (("compute", 9), ("tokens", 8), ("gradients", 11), ("adam", 7)))
        speed = ranks * args.tokens / whole
        print(f"{ranks:5}  {spread:6}  {columns}  {whole:8.3f}  {speed:10,.0f}  {alone / whole:9.0%}")


if __name__ == "__main__":
    main()
