#!/usr/bin/env python3
"""What bad clients do to a translation server while good ones translate: all of it at once.

    bench/serve_abuse.py --model runs/quickstart --text FILE --source en --target de     (starts target/release/strata itself)
    bench/serve_abuse.py --url http://127.0.0.1:5000 --pid PID --text FILE               (a server that runs already)

First the good clients alone for a while, then together with every kind of abuse, each of which goes on in a loop until the time is
up. Each answer is held against what it should be (`allowed`); `-` is a connection that the server closed without an answer, which is
right where there was no whole request. At the end nothing may be left open and memory must be bounded. Ends with code 1 if
something is not as it should be. Needs nothing but Python's standard library, and /proc for memory and open files.
"""

import argparse
import asyncio
import collections
import json
import os
import signal
import subprocess
import sys
import time
import urllib.parse

HOST, PORT = "", 0
OPEN = 20  # seconds that the server has for a silent client, and some


class Abuse:
    """One kind of it: a coroutine that gives what was answered, and what is right."""

    def __init__(self, name, act, allowed):
        self.name, self.act, self.allowed = name, act, allowed
        self.found = collections.Counter()
        self.slowest = 0.0


async def connect():
    return await asyncio.open_connection(HOST, PORT, limit=1 << 20)


async def status_of(reader, seconds=OPEN):
    """The status of the next answer; `-` where the connection was closed without one, `open` where nothing happened."""
    try:
        line = await asyncio.wait_for(reader.readline(), seconds)
    except (asyncio.TimeoutError, TimeoutError):
        return "open"
    except OSError:
        return "-"
    parts = line.split()
    return parts[1].decode() if len(parts) > 1 else "-"


async def send(writer, data):
    try:
        writer.write(data)
        await writer.drain()
        return True
    except OSError:
        return False


async def raw(data, half_close=False):
    """Sends bytes and gives the answer's status."""
    reader, writer = await connect()
    try:
        await send(writer, data)
        if half_close:
            writer.write_eof()
        return await status_of(reader)
    finally:
        writer.close()


def post(path, body, kind="application/json", more=""):
    head = f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


def ask(**values):
    return json.dumps({"q": "Hello.", "source": "auto", "target": TARGET, **values}).encode()


async def pour(head, piece, total):
    """Sends a head, then a body of `total` bytes for as long as the server takes it; gives the status of the answer."""
    reader, writer = await connect()
    try:
        await send(writer, head)
        answer = asyncio.ensure_future(status_of(reader, OPEN + 10))
        sent = 0
        while sent < total and not answer.done():
            if not await send(writer, piece):
                break
            sent += len(piece)
            await asyncio.sleep(0)
        return await answer
    finally:
        writer.close()


PIECE = b"x" * 65536


async def gigabyte_by_length():
    head = f"POST /translate HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\nContent-Length: {1 << 30}\r\n\r\n"
    return await pour(head.encode(), PIECE, 1 << 30)


async def gigabyte_in_chunks():
    head = f"POST /translate HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    return await pour(head.encode(), b"10000\r\n" + PIECE + b"\r\n", 1 << 30)


async def gigabyte_file():
    head = f"POST /translate_file HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: multipart/form-data; boundary=x\r\nTransfer-Encoding: chunked\r\n\r\n"
    start = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
    return await pour(head.encode() + f"{len(start):x}\r\n".encode() + start + b"\r\n", b"10000\r\n" + PIECE + b"\r\n", 1 << 30)


async def drip(data, pause):
    reader, writer = await connect()
    try:
        answer = asyncio.ensure_future(status_of(reader, 60))
        for byte in data:
            if answer.done() or not await send(writer, bytes([byte])):
                break
            await asyncio.sleep(pause)
        return await answer
    finally:
        writer.close()


async def slow_headers():
    return await drip(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"a" * 200, 1.0)


async def slow_body():
    head = post("/translate", b"{" * 2000)[:-2000]
    reader, writer = await connect()
    try:
        await send(writer, head)
        answer = asyncio.ensure_future(status_of(reader, 60))
        while not answer.done() and await send(writer, b" "):
            await asyncio.sleep(1.0)
        return await answer
    finally:
        writer.close()


async def silent():
    reader, writer = await connect()
    try:
        return await status_of(reader, 60)
    finally:
        writer.close()


async def slow_reader():
    """Asks for much and takes none of it."""
    reader, writer = await connect()
    try:
        one = f"GET /page.js HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
        writer.transport.pause_reading()
        for _ in range(200):
            try:
                writer.write(one)
                await asyncio.wait_for(writer.drain(), 1.0)
            except (OSError, asyncio.TimeoutError, TimeoutError):
                break
        await asyncio.sleep(3)
        return "-"
    finally:
        writer.transport.abort()


async def many_headers():
    lines = "".join(f"X-{i}: y\r\n" for i in range(10_000))
    return await raw(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n{lines}\r\n".encode())


async def large_header():
    return await pour(f"GET / HTTP/1.1\r\nHost: {HOST}\r\nX-Large: ".encode(), PIECE, 10 << 20)


async def endless_headers():
    return await pour(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n".encode(), b"X-More: y\r\n" * 100, 1 << 30)


async def long_path():
    return await raw(f"GET /{'a' * 100_000} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())


def cycle(*requests):
    """Each of the requests in turn."""
    state = {"next": 0}

    async def act():
        state["next"] += 1
        return await raw(requests[state["next"] % len(requests)])

    return act


async def goes_away():
    reader, writer = await connect()
    text = "The settings of this window are kept. " * 40
    await send(writer, post("/translate", ask(q=text, source=SOURCE)))
    await asyncio.sleep(0.1)
    writer.transport.abort()
    return "-"


async def half_closed():
    return await raw(post("/translate", ask(source=SOURCE)), half_close=True)


def lines(*texts):
    return [text.encode("latin-1") for text in texts]


def kinds():
    get = lambda path: f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"  # noqa: E731
    head = f"POST /translate HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
    smuggled = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"
    deep = b'{"q":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    html = "<b>" * 6000 + "x"
    refused = {"400", "403", "404", "405", "408", "413", "414", "415", "421", "431"}
    return [
        Abuse("1 GB body, Content-Length", gigabyte_by_length, {"413", "-"}),
        Abuse("1 GB body, chunked", gigabyte_in_chunks, {"413", "-"}),
        Abuse("1 GB file, chunked", gigabyte_file, {"413", "-"}),
        Abuse("slow headers (a byte a second)", slow_headers, {"408", "-"}),
        Abuse("slow body (a byte a second)", slow_body, {"408", "-"}),
        Abuse("connected and silent", silent, {"408", "-"}),
        Abuse("does not take its answers", slow_reader, {"-"}),
        Abuse("10,000 headers", many_headers, {"431", "-"}),
        Abuse("a header of 10 MB", large_header, {"431", "-"}),
        Abuse("headers without end", endless_headers, {"431", "-"}),
        Abuse("path of 100,000 letters", long_path, {"404", "414", "431", "-"}),
        Abuse(
            "malformed JSON",
            cycle(*(post("/translate", b) for b in [b"{", b'{"q": "\xff"}', b"[]", b'{"q":1e999}', b'"', b'{"q":"a"', b"\x00"])),
            {"400"},
        ),
        Abuse(
            "wrong content types",
            cycle(*(post("/translate", ask(), k) for k in ["text/plain", "application/xml", "", "multipart/form-data", "x" * 3000])),
            {"400"},
        ),
        Abuse(
            "path tricks",
            cycle(
                *lines(
                    get("/../../etc/passwd"), get("/%2e%2e/%2e%2e/etc/passwd"), get("//etc/passwd"), get("/page.js/../../x"),
                    get("/download_file/..%2f..%2fetc%2fpasswd"), get("/download_file/%00"), get("/%00"), get("/a\0b"),
                    get("http://other.example/metrics"), get("/\\..\\..\\x"), get("*"), get("/%ff%fe"),
                )
            ),
            refused,
        ),
        Abuse("10,000 alternatives", cycle(post("/translate", ask(alternatives=10_000))), {"400"}),
        Abuse("10 MB of q", cycle(post("/translate", ask(q="word " * 2_000_000))), {"413", "-"}),
        Abuse("100,000 texts", cycle(post("/translate", ask(q=["a"] * 100_000))), {"413"}),
        Abuse("JSON 100,000 deep", cycle(post("/translate", deep)), {"400"}),
        Abuse("HTML 6,000 deep", cycle(post("/translate", ask(q=html, format="html", source=SOURCE))), {"200", "429"}),
        Abuse(
            "two lengths of a body",
            cycle(
                *lines(
                    head + "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled,
                    head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + smuggled,
                    head + "Content-Length: 5\r\nContent-Length: 60\r\n\r\nhello" + smuggled,
                    head + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + smuggled,
                    head + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + smuggled,
                    head + "Content-Length: +5\r\n\r\nhello",
                    head + "Content-Length: -1\r\n\r\n",
                    head + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
                    head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
                )
            ),
            {"400", "-"},
        ),
        Abuse("no HTTP", cycle(b"\x16\x03\x01\x02\x00\x01", b"SSH-2.0-x\r\n", os.urandom(400) + b"\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), {"400", "408", "-"}),
        Abuse("other names of the server", cycle(*lines(get("/").replace(HOST, "evil.example"), "GET / HTTP/1.1\r\n\r\n")), {"400", "421"}),
        Abuse("asks and goes away", goes_away, {"-"}),
        Abuse("half-closed after asking", half_closed, {"200", "429", "-"}),
    ]


# ---- good clients


async def good(place, bodies, until, found):
    reader = writer = None
    while time.monotonic() < until:
        start = time.monotonic()
        try:
            if writer is None:
                reader, writer = await connect()
            writer.write(bodies[place % len(bodies)])
            await writer.drain()
            status = (await reader.readline()).split()[1].decode()
            length = 0
            while line := (await reader.readline()).strip().lower():
                if line.startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            await reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError, IndexError):
            status, writer = "failed", None
        found.append((status, time.monotonic() - start))
        if status == "429":
            await asyncio.sleep(0.5)
        place += 1
    if writer is not None:
        writer.close()


async def bad(abuse, until):
    while time.monotonic() < until:
        start = time.monotonic()
        try:
            status = await abuse.act()
        except OSError as error:
            status = f"no connection ({type(error).__name__})"
        abuse.found[status] += 1
        abuse.slowest = max(abuse.slowest, time.monotonic() - start)
        await asyncio.sleep(PAUSE)


# ---- the server as the system sees it


def resident(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) / 1000 for line in file if line.startswith("VmRSS:"))


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


async def watch(pid, until, peak):
    while time.monotonic() < until:
        peak[0] = max(peak[0], resident(pid))
        await asyncio.sleep(0.25)


def told(found, seconds):
    times = sorted(t for status, t in found if status == "200")
    at = lambda share: times[min(len(times) - 1, int(share * len(times)))] if times else float("nan")  # noqa: E731
    rest = collections.Counter(status for status, _ in found if status != "200")
    return len(times) / seconds, f"{len(times) / seconds:6.1f} sentences/s, p50 {at(0.5):.2f} s, p95 {at(0.95):.2f} s, others {dict(rest)}"


async def measure(arguments, bodies, pid, faults):
    async def clients(seconds, found):
        until = time.monotonic() + seconds
        await asyncio.gather(*(good(i * 7919, bodies, until, found) for i in range(arguments.good)))

    await clients(5, [])
    alone, together, peak = [], [], [0.0]
    await clients(arguments.alone, alone)
    before = (resident(pid), open_files(pid))
    until = time.monotonic() + arguments.seconds
    abuses = kinds()
    await asyncio.gather(
        watch(pid, until, peak),
        clients(arguments.seconds, together),
        *(bad(abuse, until) for abuse in abuses for _ in range(arguments.bad)),
    )
    await asyncio.sleep(OPEN)
    after = (resident(pid), open_files(pid))
    width = max(len(abuse.name) for abuse in abuses)
    print(f"{'abuse':{width}}  answers (`-`: closed)                     slowest")
    for abuse in abuses:
        said = ", ".join(f"{status}: {n}" for status, n in sorted(abuse.found.items()))
        wrong = set(abuse.found) - abuse.allowed
        if wrong or not abuse.found:
            faults.append(f"{abuse.name}: {said or 'nothing was tried'}")
        print(f"{abuse.name:{width}}  {said:40}  {abuse.slowest:6.1f} s{'  NOT SO' if wrong else ''}")
    (speed_before, first), (speed, second) = told(alone, arguments.alone), told(together, arguments.seconds)
    print(f"good clients alone:    {first}\ngood clients meanwhile: {second}")
    print(f"resident memory: {before[0]:.0f} MB before, {peak[0]:.0f} MB at most, {after[0]:.0f} MB after; open files: {before[1]} before, {after[1]} after")
    failed = [status for status, _ in together if status not in ("200", "429")]
    if failed:
        faults.append(f"good clients were answered {dict(collections.Counter(failed))}")
    if speed < arguments.least * speed_before:
        faults.append(f"good clients kept {speed / speed_before:.0%} of their speed")
    if peak[0] > before[0] + arguments.most:
        faults.append(f"memory grew by {peak[0] - before[0]:.0f} MB")
    if after[1] > before[1]:
        faults.append(f"{after[1] - before[1]} files are left open")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="model folder; the server is started for it")
    parser.add_argument("--binary", default="target/release/strata")
    parser.add_argument("--url")
    parser.add_argument("--pid", type=int)
    parser.add_argument("--text", required=True, help="file of sentences, one a line")
    parser.add_argument("--source", default="en")
    parser.add_argument("--target", default="de")
    parser.add_argument("--good", type=int, default=8, help="clients that translate")
    parser.add_argument("--bad", type=int, default=4, help="clients of each kind of abuse")
    parser.add_argument("--pause", type=float, default=0.5, help="seconds between two tries of a bad client")
    parser.add_argument("--alone", type=float, default=20, help="seconds of good clients alone")
    parser.add_argument("--seconds", type=float, default=60, help="seconds of abuse")
    parser.add_argument("--least", type=float, default=0.2, help="share of their speed that good clients must keep")
    parser.add_argument("--most", type=float, default=250, help="MB by which memory may grow")
    arguments = parser.parse_args()
    global HOST, PORT, SOURCE, TARGET, PAUSE
    SOURCE, TARGET, PAUSE = arguments.source, arguments.target, arguments.pause
    server, pid, url = None, arguments.pid, arguments.url
    if arguments.model:
        command = [arguments.binary, "serve", arguments.model, "--preload", "--port", "0", "-q"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        url, pid = server.stdout.readline().split()[-1], server.pid
    if not url or not pid:
        parser.error("name --model, or --url and --pid")
    parts = urllib.parse.urlparse(url)
    HOST, PORT = parts.hostname, parts.port or 80
    with open(arguments.text, encoding="utf-8") as file:
        texts = [line.strip() for line in file if line.strip()]
    bodies = [post("/translate", ask(q=q, source=SOURCE)) for q in texts]
    faults = []
    try:
        asyncio.run(measure(arguments, bodies, pid, faults))
    finally:
        if server:
            server.send_signal(signal.SIGTERM)
            code = server.wait(60)
            if code != 0:
                faults.append(f"the server ended with code {code}")
    for fault in faults:
        print(f"NOT SO: {fault}", file=sys.stderr)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
