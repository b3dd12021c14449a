#!/usr/bin/env python3
"""Makes the files of this folder, as PyTorch and NumPy write them. Needs torch and numpy.

usage: make.py FOLDER
"""

import pickle
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
