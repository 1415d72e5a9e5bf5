"""Redirects: followed where the endpoint allows it, each as a request of its own, with secrets for the endpoint alone."""
import urllib.parse

from client import ADDRESS_REFUSED, CONNECT_FAILED, OK, REDIRECT_REFUSED, TIMEOUT, main, same, served, test

BOTH = ("--address", "127.0.0.1", "127.0.0.2")


def redirect(to, status=307):
    return "/redirect/%d?to=%s" % (status, urllib.parse.quote(to, safe=""))


@test
def without_leave_a_redirect_is_the_answer():
    with served() as (driver, server):
        for status in (301, 302, 303, 307, 308):
            answer = driver.ask(redirect("/ok", status))
            same((answer.outcome, answer.error, answer.status, answer.redirects, answer.header("location")), ("definite", OK, status, 0, "/ok"))
        same(len(server.log()), 5)


@test
def a_request_stays_the_request_it_was():
    with served(endpoint={"max_redirects": 3}) as (driver, server):
        for status in (301, 302, 303):
            same(driver.ask(redirect("/echo", status)).json["method"], "GET")
            same(driver.ask(redirect("/echo", status), method="HEAD").status, 200)
            for method in ("POST", "PUT", "PATCH", "DELETE"):
                answer = driver.ask(redirect("/echo", status), method=method, body="a")
                same((answer.outcome, answer.error, answer.status, answer.redirects), ("definite", OK, status, 0), method)
        for status in (307, 308):
            for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
                answer = driver.ask(redirect("/echo/x?y=%2F", status), method=method, body="document", headers=[["X-A", "b"]])
                same((answer.status, answer.redirects), (200, 1))
                seen = answer.json
                same((seen["method"], seen["target"], seen["body"]), (method, "/echo/x?y=%2F", "document"))
                assert ["X-A", "b"] in seen["headers"], seen


@test
def locations_are_read_as_they_are_meant():
    with served(endpoint={"max_redirects": 1}) as (driver, server):
        here = "http://127.0.0.1:%d" % server.port
        for to, target in (("/echo/a", "/echo/a"), ("../echo/b", "/echo/b"), (here + "/echo/c#part", "/echo/c"), ("//127.0.0.1:%d/echo/d" % server.port, "/echo/d"),
                           ("HTTP://127.0.0.1:%d/echo?e" % server.port, "/echo?e"), ("/echo/f g", "/echo/f%20g"), ("http://127.1:%d/echo/h" % server.port, "/echo/h")):
            same(driver.ask(redirect(to)).json["target"], target, to)
        for to in ("ftp://127.0.0.1/", "file:///etc/passwd", "gopher://127.0.0.1:70/", "http://user:secret@127.0.0.1:%d/ok" % server.port, "http://[fe80::1%25lo]/", "http://a b/",
                   "http://127.0.0.1:99999/", "http://", "javascript:1", "https://b\u00fccher.example/", "http://127.0.0.1:0/"):
            answer = driver.ask(redirect(to))
            same((answer.outcome, answer.error, answer.status, answer.redirects), ("definite", REDIRECT_REFUSED, 307, 0), to)
            assert "secret" not in answer.error_text and answer.error_text.startswith("redirect"), answer.error_text
        same(driver.ask("/status/307").error, OK)  # without a Location


@test
def there_is_an_end_to_them():
    with served(endpoint={"max_redirects": 4}) as (driver, server):
        answer = driver.ask("/redirect/307", method="POST")
        same((answer.outcome, answer.error, answer.status, answer.redirects), ("definite", REDIRECT_REFUSED, 307, 4))
        same(len(server.log()), 5)
        driver.endpoint(server, max_redirects=20)
        answer = driver.ask("/redirect/307?delay=100", timeout_ms=450)
        same(answer.error, TIMEOUT)
        assert answer.outcome in ("unknown", "not sent"), answer  # it was between two of them, maybe


@test
def they_do_not_lead_to_where_requests_may_not_go():
    with served(*BOTH, endpoint={"max_redirects": 3}) as (driver, server):
        for host in ("127.0.0.2", "[::1]", "[::ffff:127.0.0.2]", "0.0.0.0", "0x7f.0.0.2", "2130706434", "017700000002", "127.2", "%31%32%37.0.0.2", "169.254.169.254"):
            answer = driver.ask(redirect("http://%s:%d/ok" % (host, server.port)), method="POST", body="a")
            same((answer.outcome, answer.error, answer.redirects), ("not sent", ADDRESS_REFUSED, 1), host)
        same({entry.local for entry in server.log()}, {"127.0.0.1"})
        driver.endpoint(server, max_redirects=3, networks=["127.0.0.0/30"])
        same(driver.ask(redirect("http://127.0.0.2:%d/echo" % server.port)).json["local"], "127.0.0.2")


@test
def secrets_go_to_the_endpoint_alone():
    headers = [["Authorization", "Bearer s3cret", 1], ["X-Plain", "a"], ["X-Signature", "s3cret", 1]]
    with served(*BOTH, endpoint={"max_redirects": 3, "networks": ["127.0.0.0/30"]}) as (driver, server):
        here, there = "http://127.0.0.1:%d" % server.port, "http://127.0.0.2:%d" % server.port
        same("s3cret" in str(driver.ask(redirect("/echo"), headers=headers).json), True)
        same("s3cret" in str(driver.ask(redirect(here.upper() + "/echo"), headers=headers).json), True)
        seen = driver.ask(redirect(there + "/echo"), headers=headers).json
        same((seen["local"], "s3cret" in str(seen), ["X-Plain", "a"] in seen["headers"]), ("127.0.0.2", False, True))
        back = redirect(there + redirect(here + "/echo"))
        same("s3cret" in str(driver.ask(back, headers=headers).json), True)
        same([(entry.local, "s3cret" in str(entry)) for entry in server.log()][-3:], [("127.0.0.1", True), ("127.0.0.2", False), ("127.0.0.1", True)])


@test
def another_port_is_another_place():
    with served(endpoint={"max_redirects": 3}) as (driver, server), served() as (_, other):
        seen = driver.ask(redirect("http://127.0.0.1:%d/echo" % other.port), headers=[["Authorization", "Bearer s3cret", 1]]).json
        same("s3cret" in str(seen), False)


@test
def where_a_redirect_leads_may_fail():
    with served(endpoint={"max_redirects": 3}) as (driver, server):
        answer = driver.ask(redirect("http://127.0.0.1:1/ok"), method="POST")
        same((answer.outcome, answer.error, answer.redirects, answer.status), ("not sent", CONNECT_FAILED, 1, 0))
        answer = driver.ask(redirect("/reset"), method="POST")
        same((answer.outcome, answer.redirects), ("unknown", 1))


main()
