#!/usr/bin/python3
"""A shop whose products are set by requests, and which fails now and then: what it has in the end, and what it has seen, tell whether pushes
are safe.

    shop.py [--delay MS] [--faults PERCENT] [--seed N]

It prints {"port": …} when it listens, and ends when its standard input does.
    PUT, DELETE /products/SKU       body {"sku", "version", …}; 200 with {"id": …}
    POST /batch                     body {"products": [...]}; 200 with {"results": [{"sku", "status", "id" | "message"}]}, in any order. A product whose
                                    name is "refused" gets status 422; "short" leaves the product out of the first answer; "bad" makes the whole a 400
    a product whose name is "lost"  is kept, and the connection reset instead of the answer, until POST /found; one whose name is "busy" gets 503
    POST /faults/PERCENT, /delay/MS, /found, /watch (most_in_flight from now on), /pause/SECONDS (429 with Retry-After, that long)
    GET /state                      {"products": {sku: version}, "requests", "most_in_flight", "keys", "two_bodies", "backwards", "during_pause"}
A fault is, each as often: 503; a reset before the change; a reset after it; no answer. A request whose key is known gets the answer it has had, and
changes nothing; one with a known key and another body counts as two_bodies.
"""
import argparse
import asyncio
import json
import random
import socket
import struct
import sys
import time

products, keys, short = {}, {}, set()
state = {"requests": 0, "most_in_flight": 0, "two_bodies": 0, "backwards": 0, "during_pause": 0, "documents": 0}
in_flight = 0
options = None
paused_until = 0.0
started = time.time()


def put(product):
    before = products.get(product["sku"])
    if before is not None and product["version"] < before:
        state["backwards"] += 1
    products[product["sku"]] = product["version"]
    state["documents"] += 1
    return "id-" + product["sku"]


def change(method, path, body):
    if path.startswith("/products/"):
        if method == "DELETE":
            gone = products.pop(path.split("/")[2], None)
            return (200 if gone is not None else 404), {}
        return 200, {"id": put(json.loads(body))}
    if path == "/batch":
        given = json.loads(body)["products"]
        if any(product.get("name") == "bad" for product in given) and len(given) > 1:
            return 400, {"message": "bad"}
        results = []
        for product in given:
            if product.get("name") == "refused":
                results.append({"sku": product["sku"], "status": 422, "message": "no such colour"})
            elif product.get("name") == "short" and product["sku"] not in short:
                short.add(product["sku"])
            else:
                results.append({"sku": product["sku"], "status": 200, "id": put(product)})
        random.shuffle(results)
        return 200, {"results": results}
    return 404, {}


def control(path):
    global paused_until
    parts = path.split("/")
    if parts[1] == "state":
        return dict(state, products=products, keys=len(keys))
    if parts[1] == "faults":
        options.faults = float(parts[2])
    elif parts[1] == "delay":
        options.delay = float(parts[2])
    elif parts[1] == "watch":
        state["most_in_flight"] = 0
    elif parts[1] == "found":
        options.loses = False
    elif parts[1] == "pause":
        paused_until = time.time() + float(parts[2])
    else:
        return None
    return {}


def answer(writer, status, value, more=""):
    body = json.dumps(value).encode()
    writer.write(("HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n" % (status, len(body), more)).encode() + body)


def reset(writer):
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def one(method, path, headers, body, writer):
    """False: the connection has ended."""
    if (told := control(path)) is not None:
        answer(writer, 200, told)
        return True
    state["requests"] += 1
    if time.time() < paused_until:
        state["during_pause"] += 1
        answer(writer, 429, {}, "Retry-After: %d\r\n" % max(1, round(paused_until - time.time())))
        return True
    await asyncio.sleep(options.delay / 1000)
    fault = random.randrange(4) if random.random() * 100 < options.faults else None
    if fault == 0 or (options.loses and '"busy"' in body):
        answer(writer, 503, {})
        return True
    if fault == 1:
        reset(writer)
        return False
    key = headers.get("idempotency-key")
    known = keys.get(key)
    if known is not None:
        state["two_bodies"] += known[0] != (method, path, body)
    else:
        known = keys[key] = ((method, path, body), change(method, path, body))
    if fault == 2 or (options.loses and '"lost"' in body):
        reset(writer)
        return False
    if fault == 3:
        await asyncio.sleep(3600)
    answer(writer, *known[1])
    return True


async def serve(reader, writer):
    global in_flight
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, path, _ = head[0].split(" ")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
            body = (await reader.readexactly(int(headers.get("content-length", "0")))).decode()
            in_flight += 1
            state["most_in_flight"] = max(state["most_in_flight"], in_flight)
            try:
                if not await one(method, path, headers, body, writer):
                    return
            finally:
                in_flight -= 1
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main():
    global options
    parser = argparse.ArgumentParser()
    parser.add_argument("--delay", type=float, default=0)
    parser.add_argument("--faults", type=float, default=0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.loses = True
    random.seed(options.seed)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1000)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
