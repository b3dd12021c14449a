#!/usr/bin/env python3
"""Sustained load on a translation server: sentences per second and latency at several numbers of clients.

    strata serve runs/quickstart --preload -q &
    bench/serve_load.py http://127.0.0.1:5000 --text FILE --source en --target de --clients 1,8,64,256 --seconds 30

Every client keeps one connection and sends a line of FILE after the other, as people do who translate sentence by sentence. Needs
nothing but Python's standard library. Prints a table, and with --json a line of JSON for each number of clients. Answers 429
are counted and waited out for as long as the server says, up to a second.
"""

import argparse
import asyncio
import json
import time
import urllib.parse


async def ask(reader, writer, host, path, body):
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()
    status = int((await reader.readline()).split()[1])
    length, wait = 0, 1.0
    while True:
        line = (await reader.readline()).strip().lower()
        if not line:
            break
        if line.startswith(b"content-length:"):
            length = int(line.split(b":")[1])
        if line.startswith(b"retry-after:"):
            wait = float(line.split(b":")[1])
    await reader.readexactly(length)
    return status, wait


async def client(number, url, bodies, until, found):
    reader = writer = None
    place = number * 7919
    while time.monotonic() < until:
        try:
            if writer is None:
                reader, writer = await asyncio.open_connection(url.hostname, url.port)
            start = time.monotonic()
            status, wait = await ask(reader, writer, url.netloc, "/translate", bodies[place % len(bodies)])
            found.append((status, time.monotonic() - start))
            if status == 429:
                await asyncio.sleep(min(wait, 1.0))
            else:
                place += 1
        except (OSError, asyncio.IncompleteReadError, IndexError):
            found.append((0, 0.0))
            writer = None
            await asyncio.sleep(0.05)
    if writer is not None:
        writer.close()


def memory(url):
    """Resident bytes as the server tells them."""
    import urllib.request

    with urllib.request.urlopen(f"{url.geturl()}/metrics") as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith("strata_resident_memory_bytes "):
                return int(float(line.split()[1]))
    return 0


async def measure(url, bodies, clients, seconds):
    found = []
    start = time.monotonic()
    await asyncio.gather(*(client(i, url, bodies, start + seconds, found) for i in range(clients)))
    took = time.monotonic() - start
    times = sorted(t for status, t in found if status == 200)

    def at(share):
        return times[min(len(times) - 1, int(share * len(times)))] if times else float("nan")

    return {
        "clients": clients,
        "seconds": round(took, 1),
        "sentences_per_second": round(len(times) / took, 1),
        "p50_ms": round(1000 * at(0.50), 1),
        "p95_ms": round(1000 * at(0.95), 1),
        "p99_ms": round(1000 * at(0.99), 1),
        "refused": sum(status == 429 for status, _ in found),
        "failed": sum(status not in (200, 429) for status, _ in found),
        "resident_mb": round(memory(url) / 1e6),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--text", required=True, help="file of sentences, one a line")
    parser.add_argument("--source", default="en")
    parser.add_argument("--target", default="de")
    parser.add_argument("--clients", default="1,8,64,256")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--lines", type=int, default=0, help="only the first lines of the text; 0 = all")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    url = urllib.parse.urlparse(arguments.url.rstrip("/"))
    with open(arguments.text, encoding="utf-8") as file:
        lines = [line.strip() for line in file if line.strip()][: arguments.lines or None]
    bodies = [json.dumps({"q": q, "source": arguments.source, "target": arguments.target}).encode() for q in lines]
    if not arguments.json:
        print("clients  sentences/s    p50 ms    p95 ms    p99 ms  refused  failed  memory MB")
    for clients in map(int, arguments.clients.split(",")):
        row = asyncio.run(measure(url, bodies, clients, arguments.seconds))
        if arguments.json:
            print(json.dumps(row), flush=True)
        else:
            print(
                f"{clients:7}  {row['sentences_per_second']:11}  {row['p50_ms']:8}  {row['p95_ms']:8}  {row['p99_ms']:8}"
                f"  {row['refused']:7}  {row['failed']:6}  {row['resident_mb']:9}",
                flush=True,
            )


if __name__ == "__main__":
    main()
