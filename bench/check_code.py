#!/usr/bin/env python3
"""Checks the machine code of the kernels in a built `strata` on x86-64, on any machine: it only reads the program.

    cargo build --release && bench/check_code.py [PROGRAM]

The code of each instruction level lies in the functions `with_avx2`, `with_avx512`, ... of `strata_simd::dispatch`,
into which kernels are inlined, and in what those call. Their loops are found in the disassembly and led back to the
source by the debug information, so PROGRAM must be built from the sources beside this script. It fails, with one line
for each finding, where

- spill: an innermost loop of multiply-adds stores vector registers, so its sums are not in registers;
- call: each turn of an innermost loop that computes calls a function, or any turn one of the mathematical library;
- gather: an innermost loop gathers or scatters, which is slower than loading and shuffling;
- level: code of a level calls a kernel that was compiled without the level's instructions. This is what becomes of a
  closure that is not `#[inline(always)]`;
- scalar, narrow: of a loop in the source no compiled form uses vector registers, or none wider than 128 bits;
- missing: a kernel of the table below has no vector loop at a level, other than for being compiled elsewhere;
- few: fewer loops were found than a sound program has, so this check itself has gone blind.

Jumps through tables are not followed, so a loop around one may be missed. It needs `objdump`, `nm` and `addr2line` of
binutils (or LLVM's) and takes some seconds.
"""

import argparse
import bisect
import collections
import pathlib
import re
import shutil
import subprocess
import sys

# Findings that are meant, with the reason: (rule, function) -> reason. One that no longer occurs is a finding too.
ALLOWED = {
    ("level", "kernels::gemm::pack::pack_one_by_one"): "cold: the last values and lines, which fill no square",
    ("scalar", "runtime::kernels::activations::each"): "the last values of ReLU, fewer than a register has; its vector \
loop is counted under the closure",
    ("level", "runtime::kernels::output::store_some"): "cold: a few columns at the right edge of an output",
    ("gather", "kernels::mask::multiply"): "several blocks of a mask at once; dropout inside of experts is rare, and beside \
their products nothing",
    ("call", "runtime::kernels::int8_tiles::store_tile"): "cold: the same for all rows of a tile, in a loop of its own",
}

VECTORS = "avx2 avx512"
# Kernels that must have a loop with vector registers of 256 or 512 bits, and the levels at which they must.
VECTOR_KERNELS = {
    "kernels::gemm::tile::sums": "avx2 avx512 avx512_bf16",
    "kernels::gemm::pack::pack": "avx2 avx512 avx512_bf16",
    "kernels::gemm::pack::to_rounded": VECTORS,
    "kernels::adam::adam": VECTORS,
    "kernels::attention::backward": VECTORS,
    "kernels::attention::dropped": VECTORS,
    "kernels::attention::forward": VECTORS,
    "kernels::cross_entropy::run": VECTORS,
    "kernels::dropout::masked": VECTORS,
    "kernels::experts::groups::output_gradients": VECTORS,
    "kernels::experts::groups::sum_per_token": VECTORS,
    "kernels::layer_norm::layer_norm": VECTORS,
    "kernels::linear::column_sums": VECTORS,
    "kernels::linear::relu_gradient": VECTORS,
    "kernels::norm::partial_squares": VECTORS,
    "kernels::rows::embed": VECTORS,
    "runtime::kernels::activations::activate": VECTORS,
    "runtime::kernels::attention::add_values": VECTORS,
    "runtime::kernels::attention::score": VECTORS,
    "runtime::kernels::attention::attend_all": VECTORS,
    "runtime::kernels::attention::softmax_columns": VECTORS,
    "runtime::kernels::float_tiles::add_line": VECTORS,
    "runtime::kernels::int8_tiles::product_tile": "avx2 avx_vnni avx512 avx512_vnni",
    "runtime::kernels::norm::layer_norm": VECTORS,
    "runtime::kernels::quantize::quantize_rows": VECTORS,
    "runtime::kernels::quantize::scale_of": VECTORS,
    "runtime::kernels::top_k::total": VECTORS,
    "runtime::kernels::top_k::top_k": VECTORS,
    "simd::math::exponentials": VECTORS,
    "simd::math::softmax": VECTORS,
    "simd::sums::max": VECTORS,
    "simd::sums::sum": VECTORS,
}

# Fewest innermost loops that compute, a level: about two thirds of what there are.
FEWEST = {"avx2": 70, "avx_vnni": 4, "avx512": 110, "avx512_vnni": 12, "avx512_bf16": 12}

# Functions on whole numbers whose work counts as arithmetic: without vectors it looks like any other bookkeeping.
WHOLE_NUMBERS = {"simd::bf16::to_bf16", "simd::random::lowbias32"}

LEVEL = re.compile(r"strata_simd::dispatch::with_(\w+)")
KERNELS = re.compile(r"<?strata_(kernels|runtime|simd)\b")
SOURCE = re.compile(r"(?:^|.*/)crates/(kernels|runtime|simd)/src/(.+)\.rs$")
# Calls that do not come back.
NEVER = re.compile(r"core::panicking|panic|_fail(ed)?\b|_Unwind_Resume|handle_(alloc_)?error|capacity_overflow")
# Library code that computes nothing and is not looked into.
LIBRARY = re.compile(rf"{NEVER.pattern}|^_*(rust|rdl)_|alloc::raw_vec|core::(cell|fmt|str)|std::|rayon")
MATH = re.compile(r"\b(exp|exp2|expm1|log|log2|log1p|pow|tanh?|sin|cos|sqrt|fma|round|floor|fmod)f?\b(@|$)")

MULTIPLY_ADD = re.compile(r"vfn?m(add|sub)\d+[ps][sd]|v\w*dpbf16ps|vpdp\w+|vpmaddw\w|vpmaddubsw")
ARITHMETIC = re.compile(
    r"v?(add|sub|mul|div|min|max|sqrt)(?P<of>[sp][sd])$|vfn?m(add|sub)\d+(?P<fused>[sp][sd])$"
    r"|v?p(add|sub|mul|mull|madd|max|min|s[rl]l|sra|dp)\w*$|v\w*dpbf16ps|vcvtne\w+"
)
STORED = re.compile(r"%[xyz]mm\d+,.*\(")
SHUFFLE = re.compile(r"v(un)?pck|vshuf|vperm|vunpck")

# The last values of a row, which fill no register, by the words that the sources use for them.
TAIL = re.compile(r"\brest\b|\bwhole\.\.|remainder\(\)|\* TOGETHER\.\.|\.chain\(")
LOOP = re.compile(r"\b(for|while|loop)\b|\.(fold|for_each|map|collect|sum|fill)\(")


def run(*command, **more):
    return subprocess.run(command, check=True, capture_output=True, text=True, **more).stdout


def tool(name):
    """The path of a tool of binutils, or of LLVM's form of it."""
    found = shutil.which(name) or shutil.which(f"llvm-{name}")
    return found or sys.exit(f"error: neither {name} nor llvm-{name} is installed (Debian: binutils)")


class Program:
    """Symbols and disassembled functions of a program."""

    def __init__(self, path):
        self.path, self.names, self.ends, self.code = path, {}, {}, {}
        for line in run(tool("nm"), "-SC", "--defined-only", path).splitlines():
            if found := re.match(r"(\w+) (\w+) [tTwW] (.*)", line):
                start = int(found[1], 16)
                self.names[start] = re.sub(r"::h[0-9a-f]{16}\b.*", "", found[3])
                self.ends[start] = start + int(found[2], 16)
        self.starts = sorted(self.names)
        # Calls across libraries and crates go through slots that the loader fills.
        self.slots = {}
        for line in run(tool("objdump"), "-R", path).splitlines():
            if found := re.match(r"(\w+)\s+R_\w+\s+(?:\*ABS\*\+0x(\w+)|(\S+))", line):
                self.slots[int(found[1], 16)] = int(found[2], 16) if found[2] else found[3]

    def function(self, address):
        """Where the function begins that has `address`, if one has."""
        place = bisect.bisect_right(self.starts, address) - 1
        if place >= 0 and address < self.ends[self.starts[place]]:
            return self.starts[place]
        return None

    def target(self, operands):
        """Where a jump or call goes: an address, a library function's name, or None if that is only known later."""
        if direct := re.match(r"(?:0x)?([0-9a-f]+)(?: |$)", operands):
            return int(direct[1], 16)
        if slot := re.match(r"\*.*\(%rip\)\s+# (?:0x)?([0-9a-f]+)", operands):
            return self.slots.get(int(slot[1], 16))
        return None

    def callee(self, operands):
        """The start, if the program has it, and the name of the function that a jump or call goes to."""
        to = self.target(operands)
        if isinstance(to, int):
            start = self.function(to)
            return start, self.names.get(start, "?")
        return None, to or "?"

    def disassemble(self, functions):
        """Adds the instructions of `functions` to `code`: address, operation, operands."""
        wanted = sorted(start for start in set(functions) if start not in self.code)
        ranges = []
        for start in wanted:
            self.code[start] = []
            if ranges and start - ranges[-1][1] < 1 << 16:
                ranges[-1][1] = max(ranges[-1][1], self.ends[start])
            else:
                ranges.append([start, self.ends[start]])
        for first, last in ranges:
            bounds = (f"--start-address={first}", f"--stop-address={last}")
            now = None
            for line in run(tool("objdump"), "-d", "--no-show-raw-insn", *bounds, self.path).splitlines():
                if found := re.match(r"\s+([0-9a-f]+):\s+(?:{\w+}\s+)?(\S+)\s*(.*)", line):
                    address = int(found[1], 16)
                    if now is None or not now <= address < self.ends[now]:
                        now = self.function(address)
                    if now in self.code and now >= first:
                        self.code[now].append((address, found[2], found[3]))


def levels_of(program):
    """The functions that run at each level: those that are compiled for it, and what they call."""
    kernels = [start for start in program.starts if KERNELS.match(program.names[start])]
    program.disassemble(kernels)
    levels = collections.defaultdict(set)
    todo = [(start, found[1]) for start in kernels if (found := LEVEL.match(program.names[start]))]
    while todo:
        program.disassemble(start for start, _ in todo)
        reached = []
        for start, level in todo:
            if level in levels[start]:
                continue
            levels[start].add(level)
            for _, operation, operands in program.code[start]:
                if operation.startswith(("call", "j")):
                    to, name = program.callee(operands)
                    if to not in (None, start) and not LEVEL.match(name) and not LIBRARY.search(name):
                        reached.append((to, level))
        todo = reached
    return levels


def blocks_of(program, code):
    """Basic blocks by number of their first instruction: the number behind the last one, and the blocks that follow."""
    number = {address: i for i, (address, _, _) in enumerate(code)}
    after = {}
    for i, (_, operation, operands) in enumerate(code):
        if operation.startswith("j"):
            to = number.get(program.target(operands))
            after[i] = ([] if to is None else [to]) + ([] if operation.startswith("jmp") else [i + 1])
        elif operation.startswith(("ret", "ud2")):
            after[i] = []
        elif operation.startswith("call") and NEVER.search(program.callee(operands)[1]):
            after[i] = []
    begins = {0}.union(*([i + 1, *to] for i, to in after.items()))
    begins = sorted(i for i in begins if i < len(code))
    ends = [*begins[1:], len(code)]
    return {
        begin: (end, {to for to in after.get(end - 1, [end]) if to < len(code)}) for begin, end in zip(begins, ends)
    }


def cycles(nodes, follows):
    """The strongly connected parts of a graph that have a cycle (Tarjan, 1972)."""
    order, low, stack, found = {}, {}, [], []
    for root in nodes:
        if root in order:
            continue
        work = [(root, iter(follows[root] & nodes))]
        order[root] = low[root] = len(order)
        stack.append(root)
        while work:
            node, rest = work[-1]
            for to in rest:
                if to not in order:
                    order[to] = low[to] = len(order)
                    stack.append(to)
                    work.append((to, iter(follows[to] & nodes)))
                    break
                if to in low:
                    low[node] = min(low[node], order[to])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == order[node]:
                    part = set(stack[stack.index(node) :])
                    del stack[-len(part) :]
                    for done in part:
                        del low[done]
                    if len(part) > 1 or node in follows[node]:
                        found.append(part)
    return found


def innermost(blocks):
    """The innermost loops: sets of blocks."""
    follows = {begin: to for begin, (_, to) in blocks.items()}
    enters = collections.defaultdict(set)
    for begin, to in follows.items():
        for block in to:
            enters[block].add(begin)
    loops, todo = [], cycles(set(blocks), follows)
    while todo:
        loop = todo.pop()
        head = min((block for block in loop if enters[block] - loop), default=min(loop))
        inner = cycles(loop, {block: follows[block] - {head} for block in loop})
        loops += [] if inner else [loop]
        todo += inner
        for block in loop:
            follows[block] = follows[block] - {head}
    return loops


class Sources:
    """Functions and loop statements of the kernels' source files, which `rustfmt` has indented."""

    def __init__(self, root):
        self.root, self.files = root, {}

    def read(self, crate, module):
        if (crate, module) not in self.files:
            path = self.root / f"crates/{crate}/src/{module}.rs"
            if not path.is_file():
                sys.exit(f"error: the program was built from other sources: {path} is missing")
            lines = path.read_text().splitlines()
            functions, opened = [], []
            for number, line in enumerate(lines, 1):
                indent = len(line) - len(line.lstrip())
                if (found := re.match(r"\s*[\w() ]*\bfn ([\w$]+)", line)) and not line.endswith((";", "}")):
                    opened.append((indent, found[1], number))
                elif opened and line == " " * opened[-1][0] + "}":
                    _, name, first = opened.pop()
                    functions.append((first, number, name))
            self.files[crate, module] = (lines, functions)
        return self.files[crate, module]

    def frame(self, file, line):
        """The function of a line, as `(crate::module::name, line, first line, file)`."""
        place = SOURCE.match(file)
        lines, functions = self.read(place[1], place[2])
        around = [(first, name) for first, last, name in functions if first <= line <= last]
        first, name = max(around, default=(1, "?"))
        path = f"{place[1]}::{place[2].replace('/', '::')}::{name}"
        return path, line, first, f"crates/{place[1]}/src/{place[2]}.rs"

    def loop(self, frame):
        """The line of the loop statement around a frame's line, or None if its function has no loop there."""
        _, line, first, file = frame
        crate, module = re.match(r"crates/(\w+)/src/(.+)\.rs", file).groups()
        lines = self.read(crate, module)[0]
        indent = 1000
        for number in range(line, first, -1):
            text = lines[number - 1]
            depth = len(text) - len(text.lstrip())
            if text.strip() and depth < indent:
                indent = depth
                if LOOP.search(text):
                    return number
        return None

    def text(self, file, line):
        crate, module = re.match(r"crates/(\w+)/src/(.+)\.rs", file).groups()
        return self.read(crate, module)[0][line - 1]


def frames_of(program, sources, addresses):
    """For each address the kernel functions that it was inlined through, the outermost first; and which lack some."""
    addresses = sorted(addresses)
    answer = run(tool("addr2line"), "-afi", "-e", program.path, input="\n".join(map(hex, addresses)) + "\n")
    frames, partial, lines = {}, set(), iter(answer.splitlines())
    for line in lines:
        if line.startswith("0x"):
            address = int(line, 16)
            now = frames[address] = []
            continue
        file, number = re.match(r"(.*):(\d+|\?)", next(lines)).groups()
        if SOURCE.match(file) and number in "0?":
            partial.add(address)
        elif SOURCE.match(file):
            now.insert(0, sources.frame(file, int(number)))
    return frames, partial


def kind(operation, operands, frames):
    """What an instruction computes with: 0 no vectors, 128, 256 or 512 bits; None if it does not compute."""
    found = ARITHMETIC.match(operation)
    if found and (found["of"] or found["fused"] or "p")[0] == "p":
        return {"x": 128, "y": 256, "z": 512}[max(re.findall(r"%([xyz])mm", operands), default="x")]
    bookkeeping = "mm" in operands or operation.startswith(("j", "call"))
    whole = frames and frames[-1][0] in WHOLE_NUMBERS and not bookkeeping
    return 0 if found or whole else None


class Loop:
    """An innermost loop of a function."""

    def __init__(self, program, start, blocks, loop):
        code = program.code[start]
        self.start, self.calls = start, []
        self.code = [code[i] for begin in sorted(loop) for i in range(begin, blocks[begin][0])]
        calling = set()
        for begin in loop:
            for _, operation, operands in code[begin : blocks[begin][0]]:
                if operation.startswith("call") and not NEVER.search(program.callee(operands)[1]):
                    calling.add(begin)
                    self.calls.append(program.callee(operands)[1])
        around = {begin: blocks[begin][1] for begin in loop}
        self.always_calls = bool(calling) and not cycles(loop - calling, around)

    def trace(self, sources, frames, partial):
        """Finds out what the loop computes with, and which function and statement it is in the source."""
        self.functions = {frame[0] for address, _, _ in self.code for frame in frames[address]}
        self.shuffles = any(SHUFFLE.match(op) and re.search("%[yz]mm", operands) for _, op, operands in self.code)
        computing = []
        for address, operation, operands in self.code:
            width = kind(operation, operands, frames[address])
            if width is not None:
                computing.append((address, width))
        self.widths = {width for _, width in computing}
        chains = [frames[address] for address, _ in computing if address not in partial and frames[address]]
        chains = chains or [frames[address] for address, _ in computing if frames[address]]
        shared = chains[0] if chains else []
        for chain in chains:
            same = 0
            while same < min(len(chain), len(shared)) and chain[same][:2] == shared[same][:2]:
                same += 1
            if same < min(len(chain), len(shared)) and chain[same][0] == shared[same][0]:
                same += 1
            shared = shared[:same]
        # The loop is in the innermost function that has a loop around all that it computes.
        self.where, self.statement, self.outermost = None, None, None
        if shared:
            self.outermost = shared[0][0], f"{shared[0][3]}:{shared[0][2]}"
        for depth in range(len(shared) - 1, -1, -1):
            path, _, first, file = shared[depth]
            line = collections.Counter(chain[depth][1] for chain in chains).most_common(1)[0][0]
            self.where = self.where or (path, line, first, file)
            self.statement = sources.loop((path, line, first, file))
            if self.statement:
                self.where = (path, line, first, file)
                # Inlined elsewhere, even into the same function, it is compiled anew.
                self.through = tuple(frame[:2] for frame in shared[:depth])
                break


def check(program, sources):
    """Yields findings, `(rule, function, file:line, levels, what, symbol)`, and last the number of loops a level."""
    levels = levels_of(program)
    loops = []
    for start in levels:
        blocks = blocks_of(program, program.code[start]) if program.code[start] else {}
        loops += [Loop(program, start, blocks, loop) for loop in innermost(blocks)]
    frames, partial = frames_of(program, sources, {address for loop in loops for address, _, _ in loop.code})
    statements, counts = collections.defaultdict(list), collections.Counter()
    vectors, outside = set(), set()
    for loop in loops:
        loop.trace(sources, frames, partial)
        if not loop.widths and not loop.shuffles:
            continue
        names = " ".join(sorted(levels[loop.start]))
        place = loop.where or ("?", 0, 0, "?")
        path, at = place[0], f"{place[3]}:{place[1]}"

        symbol = f"{program.names[loop.start]} at {loop.code[0][0]:x}"

        operations = [operation for _, operation, _ in loop.code]
        inner = loop.widths and loop.statement and not TAIL.search(sources.text(place[3], loop.statement))
        if not any(re.match(r"v[a-z]", operation) for operation in operations) and not LEVEL.match(symbol):
            outside |= loop.functions
            path, at = loop.outermost or (path, at)
            yield "level", path, at, names, "compiled without their instructions", symbol
            continue
        for level in levels[loop.start]:
            counts[level] += 1
            if max(loop.widths, default=0) >= 256 or loop.shuffles:
                vectors |= {(function, level) for function in loop.functions}
        adds = sum(1 for operation in operations if MULTIPLY_ADD.match(operation))
        stores = sum(1 for _, op, operands in loop.code if op.startswith("vmov") and STORED.match(operands))
        if adds and stores:
            yield "spill", path, at, names, f"{adds} multiply-adds and {stores} stores of vector registers", symbol
        slow = [operation for operation in operations if re.search("gather|scatter", operation)]
        if slow:
            yield "gather", path, at, names, f"{len(slow)} {slow[0]} of {len(operations)} instructions", symbol
        if loop.widths and (loop.always_calls or any(map(MATH.search, loop.calls))):
            yield "call", path, at, names, f"calls {', '.join(sorted(set(loop.calls)))}", symbol
        if inner:
            key = (path, f"{place[3]}:{loop.statement}", names, program.names[loop.start], loop.start, loop.through)
            statements[key].append((max(loop.widths), loop.code[0][0]))
    for (path, at, names, symbol, *_), forms in statements.items():
        width, address = max(forms)
        if width < 256:
            rule, what = ("narrow", "128 bits at most") if width else ("scalar", "no vector registers")
            yield rule, path, at, names, what, f"{symbol} at {address:x}"
    for path, needed in VECTOR_KERNELS.items():
        lacking = " ".join(level for level in needed.split() if (path, level) not in vectors)
        if lacking and path not in outside:
            yield "missing", path, "", lacking, "no vector loop", ""
    for level, fewest in FEWEST.items():
        if counts[level] < fewest:
            yield "few", "all kernels", "", level, f"{counts[level]} loops, at least {fewest} expected", ""
    yield counts


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", nargs="?", default=root / "target/release/strata", type=pathlib.Path)
    parser.add_argument("--source", default=root, type=pathlib.Path, help="the sources it was built from")
    arguments = parser.parse_args()
    program = arguments.program.resolve()
    header = program.read_bytes()[:20] if program.is_file() else b""
    if header[:5] != b"\x7fELF\x02":
        sys.exit(f"error: {program} is no 64-bit ELF program; build it with `cargo build --release`")
    if header[18] != 62:
        return print(f"{program}: not for x86-64, nothing is checked")
    *findings, counts = check(Program(program), Sources(arguments.source))
    met = collections.defaultdict(list)
    for rule, path, at, names, what, symbol in findings:
        met[rule, path, at, names].append((what, symbol))
    for rule, path in ALLOWED:
        keys = [key for key in met if key[:2] == (rule, path)]
        if not keys:
            met["allowed", path, "", ""] = [(f"{rule} no longer occurs, take the entry out of ALLOWED", "")]
        for key in keys:
            del met[key]
    for (rule, path, at, names), places in sorted(met.items()):
        what, symbol = places[0]
        where = f"; {len(places)} loops, first in {symbol}" if symbol else ""
        print(f"{rule}: {path} {at} [{names}]: {what}{where}")
    print("loops checked: " + ", ".join(f"{level} {count}" for level, count in sorted(counts.items())))
    if met:
        sys.exit(f"{len(met)} findings")


if __name__ == "__main__":
    main()
