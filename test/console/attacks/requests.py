"""Attacks by way of HTTP: other sites in somebody's browser, names that are not ours, requests that are no good or too large."""
import os
import re
import socket
import time

from console import LIMIT, Server, eventually, main, read_answer, test

PLACES = ("/", "/index.html", "/api/session", "/api/login", "/api/queues", "/api/none", "/healthz", "/none.js")


@test
def another_host_name_is_turned_away():
    """DNS rebinding: the browser takes the name of the attacker's site for ours."""
    with Server() as server:
        client = server.log_in()
        port = server.port
        for host in ("evil.example", "evil.example:%d" % port, "127.0.0.1", "127.0.0.1:1", "localhost", "localhost.evil.example:%d" % port,
                     "127.0.0.1:%d.evil.example" % port, "[::1]:%d" % port, "127.0.0.1:%d:80" % port, "evil@127.0.0.1:%d" % port, "", None):
            for path in PLACES:
                assert client.get(path, {"Host": host}).status in (400, 421), (host, path)
            assert client.post("/api/queues/default/pause", {}, {"Host": host}).status in (400, 421), host
        two = "GET /api/session HTTP/1.1\r\nHost: %s\r\nHost: evil.example\r\n\r\n" % server.host
        assert server.raw(two.encode()).status in (400, 421)
        absolute = "GET http://evil.example/api/session HTTP/1.1\r\nHost: %s\r\n\r\n" % server.host
        assert server.raw(absolute.encode()).status in (400, 404)
        assert client.get("/api/session", {"Host": "LOCALHOST:%d" % port}).status == 200


@test
def names_by_origin_are_ours():
    with Server("--origin", "https://console.example,http://inside.example:8081") as server:
        for host in ("console.example", "inside.example:8081", server.host):
            assert server.request("GET", "/", headers={"Host": host}).status == 200
        for host in ("console.example:443", "inside.example", "console.example.evil.example"):
            assert server.request("GET", "/", headers={"Host": host}).status == 421
        answer = server.try_log_in(headers={"Host": "console.example", "Origin": "https://console.example"})
        assert answer.status == 200, answer
        for origin in ("http://console.example", "https://console.example:444", "https://evil.example"):
            assert server.try_log_in(headers={"Host": "console.example", "Origin": origin}).status == 403, origin


@test
def another_site_can_write_nothing():
    with Server() as server:
        client = server.log_in("operator")
        path = "/api/queues/default/pause"
        for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": ""}, {"Origin": server.origin + ".evil.example"},
                        {"Origin": "http://127.0.0.1:1"}, {"Origin": server.origin.replace("http", "https")}, {"Origin": None},
                        {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
                        {"X-Sync-Job-Token": None}, {"X-Sync-Job-Token": ""}, {"Cookie": None}):
            assert client.post(path, {}, headers).status in (401, 403), headers
        for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "text/json", "application/jsonp", None):
            assert client.post(path, {}, {"Content-Type": content_type}).status == 415, content_type
        for method in ("GET", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"):
            assert server.request(method, path, headers=client.headers({"Origin": server.origin})).status in (404, 405), method
        assert [queue["paused"] for queue in client.get("/api/queues").json["rows"] if queue["queue"] == "default"] == [False]
        for headers in ({"Origin": "https://evil.example"}, {"Origin": None}, {"Content-Type": "text/plain"}):
            assert server.try_log_in(headers=headers).status in (403, 415), headers
        assert client.get("/api/queues", {"Origin": "https://evil.example"}).status == 403
        assert client.get("/api/queues", {"Sec-Fetch-Site": "same-site"}).status == 403
        answer = server.request("OPTIONS", path, headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"})
        assert answer.status == 403 and "Access-Control-Allow-Origin" not in answer.headers


@test
def every_answer_has_the_headers_of_a_safe_page():
    with Server() as server:
        client = server.log_in()
        answers = [client.get(path) for path in PLACES] + [server.request("GET", "/", headers={"Host": "evil.example"}), server.try_log_in("viewer", "x"),
                   server.raw(b"nonsense\r\n\r\n"), client.post("/api/none", "{"), client.get("/api/queues?misspelt=1")]
        for answer in answers:
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "script-src 'self';" in policy and "unsafe" not in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff" and answer.headers["X-Frame-Options"] == "DENY"
            assert answer.headers["Referrer-Policy"] == "no-referrer" and answer.headers["Cache-Control"] == "no-store"
            assert "Server" not in answer.headers
            kind = "text/" if answer.status == 200 and answer.body[:1] not in "{[" else "application/json"
            assert answer.headers["Content-Type"].startswith(kind), answer.headers
        page = server.request("GET", "/").body
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|javascript:", page), page


@test
def no_path_leads_to_a_file_of_the_machine():
    with Server() as server:
        client = server.log_in()
        for path in ("/../../../../etc/passwd", "/..%2f..%2f..%2fetc%2fpasswd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/\\..\\..\\etc\\passwd",
                     "/etc/passwd%00.js", "/index.html/../../etc/passwd", "/./index.html", "/.git/config", "/api/../../etc/passwd", "/api/queues/../../etc/passwd",
                     "/file:///etc/passwd", "/%c0%ae%c0%ae/etc/passwd"):
            answer = client.get(path)
            assert "root:" not in answer.body and (answer.status in (400, 404) or answer.body == server.request("GET", "/").body), (path, answer)


@test
def what_is_no_text_is_refused():
    with Server() as server:
        client = server.log_in("operator")
        for path in ("/api/queues/%ff/pause", "/api/queues/%00/pause", "/api/queues/%zz/pause", "/api/queues/a%/pause", "/api/queues/%c0%80/pause", "/api/queues/%ed%a0%80/pause"):
            assert client.post(path, {}).status == 400, path
        for query in ("?a=%00", "?a=%ff", "?%", "?a=1&a=2", "?unknown=1", "?a"):
            assert client.get("/api/queues" + query).status == 400, query
        for body in ("", "[]", "1", "{", "{}x", '{"name": "default"}', '{"a": 1}', '{"a": "\\u0000"}', '{"a": 1, "a": 2}', "\xff", "[" * 100000, '{"a":' * 50000):
            answer = client.post("/api/queues/none/pause", body.encode("latin-1"))
            assert answer.status in (400, 404), (body[:20], answer)
        assert client.get("/api/session").json["user"] == "operator"


def memory_of(server):
    with open("/proc/%d/status" % server.process.pid) as status:
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1])


@test
def a_body_of_a_gigabyte_is_refused_unread():
    with Server() as server:
        client = server.log_in()
        before = memory_of(server)
        for path, limit in (("/api/login", 8 << 10), ("/api/queues/default/pause", 1 << 20), ("/", 0), ("/api/none", 1 << 20)):
            for size in (1 << 30, 1 << 62, limit + 1):
                head = {"Content-Length": str(size), "Expect": None}
                answer = client.post(path, None, head)
                assert answer.status in (405, 413), (path, size, answer)
            for size in (1 << 64, -1, "1x", "1, 2"):
                assert client.post(path, None, {"Content-Length": str(size)}).status in (0, 400), (path, size)
        # In chunks, whose sum nobody has announced.
        for headers in (client.headers(), {}):
            lines = "".join("%s: %s\r\n" % pair for pair in headers.items())
            for path in ("/api/login", "/api/queues/default/pause"):
                connection = server.connect()
                connection.sendall(("POST %s HTTP/1.1\r\nHost: %s\r\nOrigin: %s\r\nContent-Type: application/json\r\n%sTransfer-Encoding: chunked\r\n\r\n"
                                    % (path, server.host, server.origin, lines)).encode())
                sent = 0
                try:
                    while sent < 1 << 26:
                        connection.sendall(b"10000\r\n" + b" " * 65536 + b"\r\n")
                        sent += 65536
                except OSError:
                    pass
                assert sent < 1 << 26, "it reads without end"
                connection.close()
        assert memory_of(server) - before < 64 << 10, "it has kept what was sent"
        assert client.get("/api/session").json["user"] == "viewer"


@test
def a_head_without_end_is_refused():
    with Server() as server:
        for data in (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
                     b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 50_000 + b"\r\n"):
            assert server.raw(data).status in (0, 400, 431)
        for data in (b"\0" * 1000, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET / HTTP/9.9\r\n\r\n", b"GET\r\n\r\n", b"\r\n" * 1000,
                     ("POST /api/login HTTP/1.1\r\nHost: %s\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}" % server.host).encode(),
                     ("POST /api/login HTTP/1.1\r\nHost: %s\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}" % server.host).encode()):
            assert server.raw(data + b"\r\n\r\n").status in (0, 400, 403, 415, 421), data[:40]
        assert server.request("GET", "/healthz").body == "ok\n"


@test
def no_request_hides_in_another():
    """Where a proxy could see another end of a request than the console does, it is refused, and nothing after it is answered."""
    with Server() as server:
        hidden = "GET /app.css HTTP/1.1\r\nHost: %s\r\n\r\n" % server.host
        chunk = "%x\r\n%s\r\n0\r\n\r\n" % (len(hidden), hidden)
        cases = [(version, "Transfer-Encoding: " + coding, body) for version, coding, body in (
            ("1.1", "xchunked", hidden), ("1.1", "identity", hidden), ("1.1", "chunked, identity", chunk), ("1.1", "identity, chunked", chunk),
            ("1.1", "gzip, chunked", chunk), ("1.1", "chunked, chunked", chunk), ("1.1", "", hidden), ("1.1", '"chunked"', chunk), ("1.1", "chunked;q=1", chunk),
            ("1.1", "\x0bchunked", chunk), ("1.1", "chunked\r\nTransfer-Encoding: identity", chunk), ("1.1", "identity\r\nTransfer-Encoding: chunked", chunk),
            ("1.1", "\r\n chunked", chunk), ("1.1", "\r\n\tchunked", chunk), ("1.0", "chunked\r\nConnection: keep-alive", chunk),
            ("1.1", "chunked\r\nContent-Length: 4", chunk), ("1.1", "chunked\nX: y", chunk))]
        cases += [("1.1", line, hidden) for line in (
            "Content-Length: 2, 2", "Content-Length: 0, 0", "Content-Length: 0\r\nContent-Length: 0", "Content-Length: +0", "Content-Length: 0x0", "Content-Length: -0",
            "Content-Length: ", "Content-Length: 0,", "Content-Length : 50", "Transfer-Encoding : chunked", "X: y\r\n Content-Length: 50", "X: y\r\n\tz")]
        for path in ("/healthz", "/api/login"):
            for version, lines, body in cases:
                head = "%s %s HTTP/%s\r\nHost: %s\r\n%s\r\n\r\n" % ("POST" if path == "/api/login" else "GET", path, version, server.host, lines)
                connection = server.connect()
                connection.sendall((head + body).encode())
                connection.shutdown(socket.SHUT_WR)
                data = b""
                while piece := connection.recv(65536):
                    data += piece
                connection.close()
                statuses = re.findall(rb"HTTP/1\.[01] (\d+)", data)
                assert statuses == [b"400"], (path, version, lines, data[:300])


@test
def headers_of_a_proxy_change_nothing():
    with Server() as server:
        client = server.log_in()
        for header in ({"X-Forwarded-Host": "evil.example"}, {"X-Forwarded-Proto": "https"}, {"Forwarded": "for=1.2.3.4;host=evil.example"},
                       {"X-Forwarded-For": "127.0.0.1"}, {"X-Original-URL": "/api/login"}, {"X-Rewrite-URL": "/api/login"}, {"X-HTTP-Method-Override": "POST"},
                       {"X-Remote-User": "admin"}, {"X-Forwarded-User": "admin"}):
            assert client.get("/api/session", header).json["user"] == "viewer"
            assert server.request("GET", "/api/queues", headers=header).status == 401
            assert server.request("GET", "/", headers={"Host": "evil.example", **header}).status == 421
            answer = server.try_log_in(headers=header)
            assert "Secure" not in answer.headers["Set-Cookie"] and "evil" not in str(answer.headers), answer.headers


@test
def a_connection_can_ask_again():
    """Two requests on a connection, the second in the same packet: each is judged by itself."""
    with Server() as server:
        connection = server.connect()
        one = "GET /healthz HTTP/1.1\r\nHost: %s\r\n\r\n" % server.host
        connection.sendall((one + one.replace(server.host, "evil.example") + one).encode())
        data = b""
        connection.settimeout(LIMIT)
        while data.count(b"HTTP/1.1") < 3 or not data.endswith(b"ok\n"):
            data += connection.recv(65536)
        assert re.findall(rb"HTTP/1.1 (\d+)", data) == [b"200", b"421", b"200"], data
        connection.close()


@test
def whoever_sends_slowly_or_nothing_shuts_nobody_out():
    with Server() as server:
        client = server.log_in()
        idle = [server.connect() for _ in range(600)]
        for connection in idle[:50]:
            connection.sendall(b"GET / HTTP/1.1\r\nX-Slow: ")
        assert client.get("/api/queues").status == 200
        for connection in idle:
            connection.close()


@test
def who_is_not_logged_in_pushes_out_nobody_who_is():
    """What needs no log-in makes a connection no better than one that has sent nothing."""
    with Server() as server:
        client = server.log_in()
        events = client.stream()
        assert events.next() is not None
        crowd = []
        for i in range(600):
            connection = server.connect()
            connection.sendall(("GET %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (("/healthz", "/", "/api/session")[i % 3], server.host)).encode())
            assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
            crowd.append(connection)
        client.post("/api/logout", {})
        assert "logged out" in events.wait_for("end")[1]["reason"]
        for connection in crowd:
            connection.close()


def connections(server, client, number, path="/"):
    """So many of this session, each of which has had an answer and stays open."""
    head = "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (path, server.host, "".join("%s: %s\r\n" % pair for pair in client.headers().items()))
    opened = []
    for _ in range(number):
        connection = server.connect()
        connection.sendall(head.encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        opened.append(connection)
    return opened


def is_open(connection):
    connection.setblocking(False)
    try:
        while True:
            if not connection.recv(65536):
                return False
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


@test
def a_session_has_a_limit_of_connections():
    """Its oldest is closed, once, and not over and over in place of others, until what waits there notices: a stream. Of others none."""
    with Server() as server:
        client, other = server.log_in("viewer"), server.log_in("viewer")
        others = connections(server, other, 5) + connections(server, other, 1, "/api/changes")
        crowd = connections(server, client, 1, "/api/changes") + connections(server, client, 700)
        count = len(os.listdir("/proc/%d/fd" % server.process.pid))
        assert count < 80, count
        assert 30 <= sum(map(is_open, crowd)) <= 40 and not is_open(crowd[0])
        assert all(map(is_open, others))
        streams = connections(server, client, 100, "/api/changes")
        eventually(lambda: sum(map(is_open, streams)) <= 20, "those that are too many end")
        assert all(map(is_open, others)) and is_open(streams[-1])
        assert client.get("/api/queues").status == 200 and server.request("GET", "/healthz").body == "ok\n"
        for connection in others + crowd + streams:
            connection.close()


@test
def whoever_has_most_connections_gives_way():
    """When sessions fill all places together, or have done so before they ended, one that has few keeps them."""
    with Server() as server:
        few = server.log_in("operator")
        kept = connections(server, few, 8) + connections(server, few, 2, "/api/changes")
        clients = [server.log_in("viewer") for _ in range(18)]
        crowd = [connection for client in clients for connection in connections(server, client, 35)]
        assert all(map(is_open, kept)) and 400 < sum(map(is_open, crowd)) < 500
        for client in clients:
            assert client.post("/api/logout", {}).status == 200
        last = server.log_in("viewer")
        crowd += connections(server, last, 30)
        assert all(map(is_open, kept + crowd[-30:]))
        assert few.get("/api/queues").status == 200
        for connection in kept + crowd:
            connection.close()


@test
def on_loopback_unless_told_otherwise():
    with Server() as server:
        assert server.address == "127.0.0.1"
        own = socket.gethostbyname(socket.gethostname())
        if not own.startswith("127."):
            with socket.socket() as probe:
                assert probe.connect_ex((own, server.port)) != 0


main()
