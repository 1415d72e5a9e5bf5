#!/usr/bin/python3
"""A web server that behaves as the path of a request says, well or badly, and writes down what it has received.

    server.py [--log FILE] [--address ADDRESS…] [--tls CERTIFICATE KEY [--client-ca FILE]] [--seed N]

It prints one line of JSON, {"port": …, "tls_port": …}, when it listens, and ends when its standard input does. The log has one line of
JSON for each request, written before it is answered: n, time, connection (a number), local and peer (addresses), tls, client (the name in its
certificate), in_flight (with this one), method, target, headers ([name, value] as they came), body (bytes as characters of the same number).

Paths; a query may add ?delay=MS (answer so much later), and to those that answer normally &status=NNN and &header=Name:value (more than once):
    /ok…                    200, "ok"
    /echo…                  200, the request as JSON, as it is in the log
    /status/NNN…            this status
    /delay/MS…              200, so much later
    /say/TEXT               200, with this text
    /bytes/N                200, with so many letters x
    /chunked/N              the same, in chunks of 7
    /gzip/N, /deflate/N     the same, compressed; N may be large: that is the bomb
    /gzip-twice/N           compressed twice
    /bad-gzip               says gzip, and is none
    /trickle/MS             a byte every so many milliseconds, without end
    /endless                bytes without end
    /endless-head, /endless-continue   headers, or answers 100, without end
    /nothing                reads, and never answers
    /close, /reset          the connection ends before an answer
    /partial/N, /partial-reset/N   of 1,000 bytes only N, then the connection ends
    /answer-and-close       200, and closes the connection without having said so
    /not-http, /old-http    what is no HTTP; HTTP/0.9
    /redirect/NNN?to=URL    a redirect there; without `to`, to where the request came from
    /flaky/PERCENT…         so often, at random: 503, a reset or nothing at all for 2 s and then a reset; else 200
    /answers/NAME           200, with what POST /set/NAME has had as its body
"""
import argparse
import asyncio
import base64
import contextlib
import gzip
import json
import random
import socket
import ssl
import struct
import sys
import time
import urllib.parse
import zlib

OPTIONS = None
LOG = None
connections = in_flight = requests = 0
kept = {}


class Bad(Exception):
    pass


class Request:
    def __init__(self, head, body):
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, version = lines[0].split(" ")
        if version != "HTTP/1.1":
            raise Bad(version)
        self.headers = [[name, value.strip()] for name, _, value in (line.partition(":") for line in lines[1:] if line)]
        self.body = body
        path, _, query = self.target.partition("?")
        self.parts = [urllib.parse.unquote(part) for part in path.split("/")[1:]]
        self.query = urllib.parse.parse_qs(query, keep_blank_values=True)

    def header(self, name, default=None):
        return next((value for key, value in self.headers if key.lower() == name), default)

    def part(self, index, default=None):
        return self.parts[index] if len(self.parts) > index else default

    def number(self, index, default=0):
        return int(self.part(index, default))


def compressed(encoding, size):
    """So many letters x, without having them at once."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31 if encoding == "gzip" else 15)
    parts, block = [], b"x" * 1_000_000
    for start in range(0, size, len(block)):
        parts.append(compressor.compress(block[: size - start]))
    return b"".join(parts) + compressor.flush()


class Connection(asyncio.Protocol):
    def connection_made(self, transport):
        global connections
        connections += 1
        self.number, self.transport, self.buffer, self.task = connections, transport, b"", None
        tls = transport.get_extra_info("ssl_object")
        self.tls = tls is not None
        certificate = tls.getpeercert() if tls else None
        self.client = dict(pair[0] for pair in certificate["subject"])["commonName"] if certificate else None
        self.peer, self.local = transport.get_extra_info("peername")[0], transport.get_extra_info("sockname")[0]

    def connection_lost(self, _):
        if self.task:
            self.task.cancel()

    def data_received(self, data):
        self.buffer += data
        if not self.task:
            self.next_request()

    def next_request(self):
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        try:
            request = Request(self.buffer[:end], b"")
            length = int(request.header("content-length", "0"))
        except (Bad, ValueError) as error:
            self.transport.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nX-Why: %s\r\n\r\n" % repr(error).encode())
            self.transport.close()
            return
        if len(self.buffer) < end + 4 + length:
            return
        request.body, self.buffer = self.buffer[end + 4 : end + 4 + length], self.buffer[end + 4 + length :]
        self.task = asyncio.get_running_loop().create_task(self.serve(request))

    def write_down(self, request):
        global requests
        requests += 1
        entry = {"n": requests, "time": time.time(), "connection": self.number, "local": self.local, "peer": self.peer, "tls": self.tls, "client": self.client,
                 "in_flight": in_flight, "method": request.method, "target": request.target, "headers": request.headers, "body": request.body.decode("latin-1")}
        if LOG:
            LOG.write(json.dumps(entry) + "\n")
            LOG.flush()
        return entry

    async def serve(self, request):
        global in_flight
        in_flight += 1
        try:
            entry = self.write_down(request)
            if "delay" in request.query:
                await asyncio.sleep(int(request.query["delay"][0]) / 1000)
            await ANSWERS.get(request.part(0), lambda *_: self.answer(request, 404))(self, request, entry)
        finally:
            in_flight -= 1
            self.task = None
        if not self.transport.is_closing():
            self.next_request()

    async def answer(self, request, status=200, body=b"ok", headers=()):
        status = int(request.query.get("status", [status])[0])
        lines = ["HTTP/1.1 %d Whatever" % status, "Content-Length: %d" % len(body), *headers]
        lines += [header.replace(":", ": ", 1) for header in request.query.get("header", [])]
        self.transport.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (b"" if request.method == "HEAD" else body))

    async def write(self, data):
        """Waits while the other side does not read, and lets others have their turn."""
        await asyncio.sleep(0)
        while self.transport.get_write_buffer_size() > 100_000:
            await asyncio.sleep(0.001)
        if self.transport.is_closing():
            raise asyncio.CancelledError
        self.transport.write(data)

    def reset(self):
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


async def ok(connection, request, _):
    await connection.answer(request)


async def echo(connection, request, entry):
    await connection.answer(request, body=json.dumps(entry).encode(), headers=["Content-Type: application/json"])


async def status(connection, request, _):
    await connection.answer(request, request.number(1))


async def delay(connection, request, _):
    await asyncio.sleep(request.number(1) / 1000)
    await connection.answer(request)


async def say(connection, request, _):
    await connection.answer(request, body=request.part(1).encode())


async def mirror(connection, request, _):
    """Says its credentials back as APIs do, who quote what they were sent."""
    said = request.header("authorization").partition(" ")[2].encode("latin-1")
    forms = [said, base64.b64encode(said), base64.b64encode(b"token:" + said), said.hex().encode(), urllib.parse.quote(said, safe="").encode()]
    with contextlib.suppress(ValueError):
        forms.append(base64.b64decode(said, validate=True))
    await connection.answer(request, body=json.dumps([form.decode("latin-1") for form in forms]).encode(), headers=["Content-Type: application/json"])


async def many_bytes(connection, request, _):
    await connection.answer(request, body=b"x" * request.number(1))


async def chunked(connection, request, _):
    body = b"x" * request.number(1)
    connection.transport.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for start in range(0, len(body), 7):
        part = body[start : start + 7]
        await connection.write(b"%x\r\n%s\r\n" % (len(part), part))
    connection.transport.write(b"0\r\n\r\n")


async def packed(connection, request, _):
    encoding = request.part(0)
    await connection.answer(request, body=compressed(encoding, request.number(1)), headers=["Content-Encoding: " + encoding])


async def packed_twice(connection, request, _):
    await connection.answer(request, body=gzip.compress(compressed("gzip", request.number(1))), headers=["Content-Encoding: gzip, gzip"])


async def bad_gzip(connection, request, _):
    await connection.answer(request, headers=["Content-Encoding: gzip"])


async def trickle(connection, request, _):
    connection.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    while True:
        await asyncio.sleep(request.number(1) / 1000)
        await connection.write(b"x")


async def endless(connection, request, _):
    start, more = {"endless": (b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n", b"x" * 10000),
                   "endless-head": (b"HTTP/1.1 200 OK\r\n", b"X-More: and more\r\n" * 100),
                   "endless-continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100)}[request.part(0)]
    connection.transport.write(start)
    while True:
        await connection.write(more)


async def nothing(*_):
    await asyncio.sleep(3600)


async def close(connection, *_):
    connection.transport.close()


async def reset(connection, *_):
    connection.reset()


async def partial(connection, request, _):
    connection.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * request.number(1))
    if request.part(0) == "partial":
        connection.transport.close()
    else:
        await asyncio.sleep(0.05)
        connection.reset()


async def answer_and_close(connection, request, _):
    await connection.answer(request)
    connection.transport.close()


async def no_http(connection, request, _):
    connection.transport.write(b"SSH-2.0-OpenSSH_9.2\r\n" if request.part(0) == "not-http" else b"hello\n")
    connection.transport.close()


async def redirect(connection, request, _):
    await connection.answer(request, request.number(1), headers=["Location: " + request.query.get("to", [request.target])[0]])


async def flaky(connection, request, _):
    if random.random() * 100 >= request.number(1):
        return await connection.answer(request)
    what = random.randrange(3)
    if what == 0:
        return await connection.answer(request, 503)
    if what == 1:
        await asyncio.sleep(2)
    connection.reset()


async def keep(connection, request, _):
    kept[request.part(1)] = request.body
    await connection.answer(request)


async def answers(connection, request, _):
    await connection.answer(request, body=kept.get(request.part(1), b""))


ANSWERS = {"ok": ok, "echo": echo, "status": status, "delay": delay, "say": say, "mirror": mirror, "bytes": many_bytes, "chunked": chunked, "gzip": packed, "deflate": packed,
           "gzip-twice": packed_twice, "bad-gzip": bad_gzip, "trickle": trickle, "endless": endless, "endless-head": endless, "endless-continue": endless,
           "nothing": nothing, "close": close, "reset": reset, "partial": partial, "partial-reset": partial, "answer-and-close": answer_and_close,
           "not-http": no_http, "old-http": no_http, "redirect": redirect, "flaky": flaky, "set": keep, "answers": answers}


async def listen(context=None):
    """On all addresses at the same port."""
    loop, port = asyncio.get_running_loop(), 0
    for address in OPTIONS.address:
        server = await loop.create_server(Connection, address, port, ssl=context, backlog=1000)
        port = server.sockets[0].getsockname()[1]
    return port


async def main():
    global OPTIONS, LOG
    parser = argparse.ArgumentParser()
    parser.add_argument("--log")
    parser.add_argument("--address", nargs="+", default=["127.0.0.1"])
    parser.add_argument("--tls", nargs=2)
    parser.add_argument("--client-ca")
    parser.add_argument("--seed", type=int, default=1)
    OPTIONS = parser.parse_args()
    random.seed(OPTIONS.seed)
    LOG = open(OPTIONS.log, "w") if OPTIONS.log else None
    ports = {"port": await listen()}
    if OPTIONS.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*OPTIONS.tls)
        if OPTIONS.client_ca:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(OPTIONS.client_ca)
        ports["tls_port"] = await listen(context)
    print(json.dumps(ports), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
