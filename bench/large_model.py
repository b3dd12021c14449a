#!/usr/bin/env python3
"""A NLLB-MoE of random weights as large as you like, in shards of bf16, to see what importing takes:

    python3 bench/large_model.py crates/runtime/tests/golden/nllb-moe large --experts 64
    (ulimit -d 300000; strata import large imported)      # 300 MB of memory of its own, no more

The small model gives the names and the text files; widths and the number of experts grow.
"""
import argparse
import json
import os
import pathlib
import shutil
import struct

SMALL = {"d_model": 16, "ffn": 24}
NOISE = bytes(b if i % 2 == 0 else 0x3C for i, b in enumerate(os.urandom(1 << 20)))  # bf16 of about 0.01


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("small", type=pathlib.Path)
    parser.add_argument("large", type=pathlib.Path)
    parser.add_argument("--experts", type=int, default=64)
    parser.add_argument("--d-model", type=int, default=1024)
    parser.add_argument("--ffn", type=int, default=8192)
    arguments = parser.parse_args()
    sizes = {SMALL["d_model"]: arguments.d_model, SMALL["ffn"]: arguments.ffn}
    arguments.large.mkdir(parents=True)
    tensors = {}
    for shard in sorted(arguments.small.glob("model-*.safetensors")):
        bytes_ = shard.read_bytes()
        (length,) = struct.unpack("<Q", bytes_[:8])
        header = json.loads(bytes_[8 : 8 + length])
        tensors |= {name: info["shape"] for name, info in header.items() if name != "__metadata__"}
    config = json.loads((arguments.small / "config.json").read_text())
    few = config["num_experts"]
    config |= {"d_model": arguments.d_model, "num_experts": arguments.experts}
    config |= {"encoder_ffn_dim": arguments.ffn, "decoder_ffn_dim": arguments.ffn}
    (arguments.large / "config.json").write_text(json.dumps(config))
    for file in arguments.small.iterdir():
        if file.name.startswith(("added", "special", "tokenizer", "sentencepiece", "generation")):
            shutil.copy(file, arguments.large)
    whole = {}
    for name, shape in tensors.items():
        shape = [arguments.experts if "router" in name and n == few else sizes.get(n, n) for n in shape]
        if ".experts.expert_" in name:
            first, rest = name.split(".experts.expert_")
            number, rest = rest.split(".", 1)
            if number == "0":
                whole |= {f"{first}.experts.expert_{e}.{rest}": shape for e in range(arguments.experts)}
        else:
            whole[name] = shape
    place, shard, inside, size = {}, 0, {}, 0
    for name, shape in whole.items():
        inside[name], size = shape, size + bytes_of(shape)
        if size > 1 << 30:
            shard, inside, size = write(arguments.large, shard, inside, place), {}, 0
    write(arguments.large, shard, inside, place)
    (arguments.large / "model.safetensors.index.json").write_text(json.dumps({"weight_map": place}))


def bytes_of(shape: list[int]) -> int:
    count = 2
    for n in shape:
        count *= n
    return count


def write(folder: pathlib.Path, shard: int, tensors: dict[str, list[int]], place: dict[str, str]) -> int:
    name, header, at = f"model-{shard:05}.safetensors", {}, 0
    for tensor, shape in tensors.items():
        header[tensor] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + bytes_of(shape)]}
        at += bytes_of(shape)
        place[tensor] = name
    text = json.dumps(header).encode()
    with open(folder / name, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        while at > 0:
            file.write(NOISE[: min(at, len(NOISE))])
            at -= len(NOISE)
    return shard + 1


main()
