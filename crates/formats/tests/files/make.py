#!/usr/bin/env python3
"""Makes the files of this folder, as PyTorch and NumPy write them. Needs torch and numpy.

usage: make.py FOLDER
"""

import pickle
import struct
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch

folder = Path(sys.argv[1])
rows = torch.arange(6, dtype=torch.float32).reshape(2, 3) / 2
state = OrderedDict(
    f32=rows,
    f16=rows.half(),
    bf16=rows.bfloat16(),
    # Two tensors in one storage, the second from its middle.
    view=rows[1:],
    parameter=torch.nn.Parameter(rows + 1),
    scalar=torch.tensor(7),
)
state._metadata = OrderedDict({"": {"version": 1}})
torch.save(state, folder / "state.bin")
torch.save({"model": state, "step": 3}, folder / "nested.bin")
torch.save({"turned": rows.t()}, folder / "turned.bin")
torch.save({"f32": rows}, folder / "old.bin", _use_new_zipfile_serialization=False)


class Evil:
    def __reduce__(self):
        return (print, ("code ran",))


with zipfile.ZipFile(folder / "code.bin", "w") as archive:
    archive.writestr(zipfile.ZipInfo("code/data.pkl"), pickle.dumps({"weight": Evil()}, protocol=2))

arrays = dict(a=np.arange(6, dtype="<f4").reshape(2, 3), b=np.arange(4, dtype="i1"), half=np.ones((1, 2), "<f2"))
np.savez(folder / "stored.npz", **arrays)
np.savez_compressed(folder / "packed.npz", **arrays, zeros=np.zeros((64, 64), "<f4"))
np.savez(folder / "turned.npz", a=np.asfortranarray(arrays["a"]))


def padded(data, length):
    return data + b"\0" * (length - len(data))


# A Marian model: its options, a vector, a matrix in int8 with its multiplier.
floats = lambda *values: struct.pack(f"<{len(values)}f", *values)
options = b"dim: 2\ntied-embeddings-all: true\n\0"
items = [
    (b"special:model.yml", 0x101, [len(options)], options),
    (b"b", 0x404, [1, 2], floats(0.5, -1.0)),
    (b"W", 0x4101, [2, 3], bytes([1, 2, 3, 4, 5, 250]) + floats(2.0)),
]
head = struct.pack("<QQ", 1, len(items))
head += b"".join(struct.pack("<QQQQ", len(n) + 1, k, len(s), len(d)) for n, k, s, d in items)
head += b"".join(n + b"\0" for n, *_ in items) + b"".join(struct.pack(f"<{len(s)}i", *s) for _, _, s, _ in items)
length = -(-(len(head) + 8) // 256) * 256
head += struct.pack("<Q", length - len(head) - 8)
(folder / "marian.bin").write_bytes(padded(head, length) + b"".join(d for *_, d in items))

# A shortlist: the two most frequent target words, and at most three for each of three source words.
lists = struct.pack("<6Q", 0xF11A48D5013417F5, 9, 2, 3, 4, 3) + struct.pack("<4Q", 0, 2, 2, 3)
(folder / "lex.bin").write_bytes(lists + struct.pack("<3I", 5, 6, 7))

# A CTranslate2 model: a matrix in int8 with a scale for each row, and a number.
text = lambda text: struct.pack("<H", len(text) + 1) + text + b"\0"
variables = [
    (b"w", [2, 2], 1, bytes([2, 252, 3, 6])),
    (b"w_scale", [2], 0, floats(2.0, 3.0)),
    (b"heads", [], 2, struct.pack("<h", 8)),
]
model = struct.pack("<I", 6) + text(b"TransformerSpec") + struct.pack("<II", 3, len(variables))
for name, shape, kind, data in variables:
    model += text(name) + struct.pack(f"<B{len(shape)}I", len(shape), *shape)
    model += struct.pack("<BI", kind, len(data)) + data
(folder / "ctranslate2.bin").write_bytes(model + struct.pack("<I", 0))
