"""What goes out: the message as it is on the wire, and what is refused before that."""
import base64
import hashlib
import hmac
import os

from client import INVALID, OK, Driver, eventually, main, same, served, test


@test
def a_request_arrives_as_it_was_given():
    with served() as (driver, server):
        body = "".join(map(chr, range(256)))
        answer = driver.ask("/echo/A%20B%2Fc?x=%26&y=1", method="PUT", body=body, headers=[["Content-Type", "application/json"], ["X-Empty", ""], ["x-Case", "a: b\tc;"]])
        same((answer.outcome, answer.error, answer.status, answer.redirects), ("definite", OK, 200, 0))
        same(answer.address, "127.0.0.1")
        seen = answer.json
        same((seen["method"], seen["target"], seen["body"]), ("PUT", "/echo/A%20B%2Fc?x=%26&y=1", body))
        same(seen["headers"], [["Host", "127.0.0.1:%d" % server.port], ["User-Agent", "driver"], ["Accept", "*/*"], ["Accept-Encoding", "gzip, deflate"],
                               ["Content-Type", "application/json"], ["X-Empty", ""], ["x-Case", "a: b\tc;"], ["Content-Length", "256"]])


@test
def each_method_has_the_body_it_should():
    with served() as (driver, server):
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            for body in ("", "{}"):
                seen = driver.ask("/echo", method=method, body=body).json
                same((seen["method"], seen["body"]), (method, body))
                length = [value for name, value in seen["headers"] if name == "Content-Length"]
                same(length, [] if not body and method in ("GET", "DELETE") else [str(len(body))], method)
                assert not any(name in ("Content-Type", "Expect", "Transfer-Encoding") for name, _ in seen["headers"]), seen
        answer = driver.ask("/bytes/1000", method="HEAD")
        same((answer.status, answer.body, answer.header("content-length")), (200, "", "1000"))


@test
def a_large_body_goes_out_at_once():
    with served() as (driver, _):
        body = "x" * 5_000_000
        same(driver.ask("/ok", method="POST", body=body, max_answer_bytes=10)["status"], 200)


@test
def connections_are_kept():
    with served() as (driver, server):
        for _ in range(5):
            driver.ask("/ok")
        same({entry.connection for entry in server.log()}, {1})
        for number in [driver.send("/delay/50") for _ in range(4)]:
            driver.answer(number)
        same({entry.connection for entry in server.log()}, {1, 2, 3, 4})


@test
def a_connection_that_the_server_has_closed_is_made_anew():
    with served() as (driver, server):
        for _ in range(5):
            same(driver.ask("/answer-and-close", method="POST", body="a")["status"], 200)
        same(len(server.log()), 5)


@test
def nothing_that_is_put_in_can_make_a_header():
    with served() as (driver, server):
        for headers in ([["X-A", "b\r\nX-Evil: 1"]], [["X-A", "b\nX-Evil: 1"]], [["X-A", "b\0c"]], [["X-A", "b\x7f"]], [["X-A\r\nX-Evil", "1"]], [["X-A:", "1"]], [["", "1"]],
                        [["X A", "1"]], [["X-ä", "1"]], [["X-A", "\x01"]]):
            reply = driver.try_send("/ok", headers=headers)
            same(reply["error"], INVALID, headers)
            assert "Evil" not in reply["error_text"] and "\n" not in reply["error_text"], reply
        for name in ("Host", "host", "Content-Length", "Transfer-Encoding", "Connection", "TE", "Upgrade", "Expect", "Accept-Encoding", "Proxy-Authorization"):
            same(driver.try_send("/ok", headers=[[name, "1"]])["error"], INVALID, name)
        same(server.log(), [])


@test
def nothing_that_is_put_in_can_change_the_path():
    with served() as (driver, server):
        for target in ("", "ok", "//..", "/a b", "/a\r\nX: y", "/a\nb", "/a\0b", "/ä", "/a#b", "/..", "/.", "/a/../b", "/a/./b", "/a/%2e%2E/b", "/%2e", "/.%2E?x", "http://evil.example/",
                       "@evil.example/", "/a\x7f"):
            same(driver.try_send(target)["error"], INVALID, target)
        for target in ("/ok", "/ok/", "/ok//x", "/ok/...", "/ok/.well-known", "/ok?a=../..", "/ok?", "/ok/a..b", "/ok/%2F", "/ok//evil.example/x", "/ok/@b:c"):
            same(driver.ask(target)["status"], 200, target)
        same([entry.target for entry in server.log()], ["/ok", "/ok/", "/ok//x", "/ok/...", "/ok/.well-known", "/ok?a=../..", "/ok?", "/ok/a..b", "/ok/%2F", "/ok//evil.example/x",
                                                       "/ok/@b:c"])


@test
def what_cannot_be_sent_is_said():
    with Driver() as driver:
        driver.endpoint()
        for request in ({"method": "CONNECT"}, {"method": "get"}, {"method": ""}, {"method": "GET / HTTP/1.1\r\n"}, {"timeout_ms": 0}, {"timeout_ms": -1}, {"max_answer_bytes": -1},
                        {"method": "HEAD", "body": "x"}):
            same(driver.do("check_request", **{"method": "GET", "target": "/", **request})["error"], INVALID, request)
        same(driver.do("check_request", method="GET", target="/")["error"], OK)
        same(driver.try_send("/", endpoint="nowhere")["error"], INVALID)
        for options in ({"scheme": "ftp"}, {"scheme": ""}, {"port": 65536}, {"port": -1}, {"max_in_flight": 0}, {"max_in_flight": 1001}, {"requests_per_second": -1},
                        {"connect_timeout_ms": 0}, {"max_redirects": 21}, {"max_pause_ms": -1}, {"ca_file": "ca.pem"}, {"key_file": "/key.pem"}, {"ca_file": "/a\0b"}):
            same(driver.do("check_endpoint", **{"name": "a", "scheme": "https", "host": "a.example", **options})["error"], INVALID, options)
        same(driver.answers, {})


@test
def an_id_is_used_once_at_a_time():
    with served() as (driver, _):
        number = driver.send("/delay/300")
        reply = driver.do("send", id=number, endpoint="shop", method="GET", target="/ok")
        same(reply["error"], INVALID)
        same(driver.answer(number)["status"], 200)
        driver.answers.clear()
        same(driver.do("send", id=number, endpoint="shop", method="GET", target="/ok")["error"], OK)
        same(driver.answer(number)["status"], 200)


@test
def what_is_not_for_this_request_is_not_sent():
    """No proxy, no netrc, no other settings of the environment's."""
    with open("netrc", "w") as file:
        file.write("default login somebody password secret\n")
    os.chmod("netrc", 0o600)
    home = os.getcwd()
    os.replace("netrc", ".netrc")
    with served() as (_, server):
        proxy = "http://127.0.0.1:%d" % server.port
        with Driver(environment={"HOME": home, "http_proxy": proxy, "https_proxy": proxy, "ALL_PROXY": proxy, "all_proxy": proxy, "NETRC": home + "/.netrc"}) as driver:
            driver.endpoint(server)
            seen = driver.ask("/echo").json
            same(seen["target"], "/echo")
            assert not any(name.lower() in ("authorization", "proxy-connection") for name, _ in seen["headers"]), seen
            driver.endpoint(name="dead", port=1)
            same(driver.ask("/ok", endpoint="dead")["outcome"], "not sent")
            same(len(server.log()), 1)


@test
def the_process_stays_as_it_was():
    with served() as (driver, _):
        for target in ("/ok", "/reset", "/gzip/1000", "/nothing"):
            driver.ask(target, timeout_ms=300)
        driver.endpoint(name="named", host="localhost.example", port=1)
        driver.ask("/ok", endpoint="named", timeout_ms=300)
        after = driver.do("process")
        same((after["locale"], after["signals"], after["threads"]), (driver.before["locale"], driver.before["signals"], 1))
        driver.do("close")
        eventually(lambda: driver.do("process")["descriptors"] <= driver.before["descriptors"], "descriptors are closed")
        same(driver.do("open")["error"], OK)


@test
def signatures_are_those_of_others():
    with Driver() as driver:
        for digest in ("sha256", "sha1", "sha384", "sha512"):
            for key, data in (("key", "data"), ("", ""), ("k" * 200, "".join(map(chr, range(256))))):
                expected = hmac.new(key.encode("latin-1"), data.encode("latin-1"), digest).digest()
                got = driver.do("hmac", digest=digest, key=key, data=data)
                same(got.encode("latin-1"), expected, digest)
        same(driver.do("hmac", digest="md5", key="k", data="d"), "")
        for data in (b"", b"a", b"ab", b"abc", hashlib.sha256(b"x").digest()):
            same(driver.do("base64", data=data.decode("latin-1")), base64.b64encode(data).decode())


main()
