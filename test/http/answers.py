"""What comes back, well and badly: what is known of the outcome, and that nothing takes too long or too much memory."""
import email.utils
import os
import resource
import socket
import time

from client import ANSWER_TOO_LARGE, BROKEN, CONNECT_FAILED, HEAD_TOO_LARGE, INTERNAL, NOT_HTTP, OK, TIMEOUT, eventually, main, same, served, test


def outcome(answer):
    return answer.outcome, answer.error, answer.status


@test
def every_status_is_an_answer():
    with served() as (driver, _):
        for status in (200, 201, 204, 304, 400, 401, 404, 409, 410, 422, 429, 500, 503, 599, 301, 307):
            same(outcome(driver.ask("/status/%d?header=Location:/ok&header=X-A:b" % status)), ("definite", OK, status))


@test
def chunks_and_compression_are_undone():
    with served() as (driver, _):
        for target in ("/bytes/5000", "/chunked/5000", "/gzip/5000", "/deflate/5000", "/gzip-twice/5000"):
            answer = driver.ask(target)
            same((*outcome(answer), answer.body), ("definite", OK, 200, "x" * 5000), target)
        answer = driver.ask("/say/%00%C3%BF?header=X-B:%20%20c%20&header=x-b:d")
        same((answer.body, [pair for pair in answer.headers if pair[0].lower() == "x-b"]), ("\0\xc3\xbf", [["X-B", "c"], ["x-b", "d"]]))


@test
def an_answer_that_is_too_long_is_cut():
    with served() as (driver, _):
        for target in ("/bytes/100001", "/chunked/100001", "/gzip/100001", "/endless", "/trickle/1"):
            answer = driver.ask(target, max_answer_bytes=100 if "trickle" in target else 100000)
            same(outcome(answer), ("definite", ANSWER_TOO_LARGE, 200), target)
            same(answer.body, "x" * (100 if "trickle" in target else 100000), target)
        same(outcome(driver.ask("/bytes/100000", max_answer_bytes=100000)), ("definite", OK, 200))
        same(outcome(driver.ask("/bytes/1", max_answer_bytes=0)), ("definite", ANSWER_TOO_LARGE, 200))
        same(outcome(driver.ask("/bytes/0", max_answer_bytes=0)), ("definite", OK, 200))


@test
def a_bomb_stays_small():
    """A hundred megabytes each, in a hundred kilobytes and in less than one."""
    with served() as (driver, _):
        def memory():
            with open("/proc/%d/status" % driver.process.pid) as status:
                return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
        driver.ask("/gzip/1000000", max_answer_bytes=100000)
        before = memory()
        for target in ("/gzip/100000000", "/gzip-twice/100000000"):
            same(outcome(driver.ask(target, max_answer_bytes=100000)), ("definite", ANSWER_TOO_LARGE, 200))
        assert memory() - before < 20000, "%d kB" % (memory() - before)


@test
def what_breaks_off_is_unknown():
    with served() as (driver, server):
        for target in ("/close", "/reset", "/partial/10", "/partial-reset/10"):
            answer = driver.ask(target, method="POST", body="a")
            same((answer.outcome, answer.error), ("unknown", BROKEN), target)
            assert answer.error_text.startswith('connection to "127.0.0.1" (127.0.0.1) ended before the answer was whole'), answer
        # libcurl itself sends what failed on a connection that had been kept again, once, and no more
        assert len(server.log()) <= 8, len(server.log())


@test
def what_takes_too_long_is_unknown():
    with served() as (driver, _):
        for target in ("/nothing", "/trickle/10", "/delay/5000"):
            began = time.monotonic()
            answer = driver.ask(target, timeout_ms=300)
            same((answer.outcome, answer.error), ("unknown", TIMEOUT), target)
            assert 0.29 < time.monotonic() - began < 10 and answer.elapsed_ms >= 300, answer


@test
def what_is_no_http_is_unknown():
    with served() as (driver, _):
        for target in ("/not-http", "/old-http", "/bad-gzip"):
            answer = driver.ask(target)
            same((answer.outcome, answer.error), ("unknown", NOT_HTTP), target)


@test
def a_head_without_end_ends():
    with served() as (driver, _):
        for target in ("/endless-head", "/endless-continue"):
            answer = driver.ask(target)
            same((answer.outcome, answer.error), ("unknown", HEAD_TOO_LARGE), target)


@test
def nobody_there_means_not_sent():
    with served() as (driver, server):
        driver.endpoint(port=1)
        answer = driver.ask("/ok")
        same((answer.outcome, answer.error, answer.address), ("not sent", CONNECT_FAILED, ""))
        same(answer.error_text, 'could not connect to "127.0.0.1" (127.0.0.1) port 1: Connection refused')
        same(server.log(), [])


@test
def no_text_quotes_what_was_sent():
    headers = [["Authorization", "Bearer s3cret", 1]]
    with served(endpoint={"max_redirects": 2}) as (driver, _):
        targets = ["/reset", "/partial/10", "/nothing", "/not-http", "/bad-gzip", "/endless-head", "/endless", "/redirect/307", "/redirect/307?to=http://user:s3cret@127.0.0.1/",
                   "/redirect/307?to=ftp://127.0.0.1/s3cret", "/redirect/307?to=http://10.0.0.1/s3cret", "/redirect/307?to=http://a%20b/s3cret"]
        for target in targets:
            answer = driver.ask(target + ("&" if "?" in target else "?") + "key=s3cret", method="POST", body="s3cret", headers=headers, timeout_ms=300, max_answer_bytes=1000)
            assert answer.error_text and "s3cret" not in answer.error_text, answer.error_text
        for request in ({"headers": [["Authorization", "s3cret\n"]]}, {"target": "/s3cret/.."}, {"target": "/s3cret "}, {"headers": [["Host", "s3cret"]]}):
            reply = driver.try_send(**{"target": "/ok", **request})
            assert reply["error_text"] and "s3cret" not in reply["error_text"], reply


@test
def without_a_socket_it_is_not_sent():
    if os.environ.get("SANITIZE"):
        return  # which look at memory with descriptors of their own
    with served() as (driver, server):
        limits = resource.prlimit(driver.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(driver.process.pid, resource.RLIMIT_NOFILE, (driver.do("process")["descriptors"] - 1, limits[1]))
        answer = driver.ask("/ok")
        same((answer.outcome, answer.error, answer.error_text), ("not sent", INTERNAL, "could not open a socket: Too many open files"))
        resource.prlimit(driver.process.pid, resource.RLIMIT_NOFILE, limits)
        same(driver.ask("/ok").status, 200)


@test
def one_that_never_accepts_means_not_sent():

    with socket.socket() as full, served() as (driver, _):
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = []
        while True:  # until its queue is full
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(full.getsockname())
            waiting.append(client)
            if len(waiting) > 3:
                break
        driver.endpoint(port=full.getsockname()[1], connect_timeout_ms=300)
        answer = driver.ask("/ok", timeout_ms=20000)
        same((answer.outcome, answer.error), ("not sent", CONNECT_FAILED))
        answer = driver.ask("/ok", timeout_ms=200)
        same((answer.outcome, answer.error), ("not sent", TIMEOUT))
        assert answer.elapsed_ms < 10000, answer


@test
def retry_after_is_read_in_both_forms():
    with served() as (driver, _):
        def wait(value, date=None):
            target = "/status/503?header=Retry-After:" + value.replace(" ", "%20").replace("+", "%2B")
            return driver.ask(target + ("&header=Date:" + date.replace(" ", "%20") if date else "")).retry_after_ms
        for value, expected in (("0", 0), ("1", 1000), ("120", 120000), ("99999999999999999999", 2147483647000), ("-1", -1), ("soon", -1), ("", -1), ("1.5", -1)):
            same(wait(value), expected, value)
        at = lambda seconds: email.utils.formatdate(time.time() + seconds, usegmt=True)
        assert 55000 <= wait(at(60)) <= 61000, wait(at(60))
        same(wait(at(-60)), 0)
        # by the clock of the server, which may go wrong
        same(wait("Sun, 06 Nov 1994 08:51:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT"), 120000)
        same(wait("Sunday, 06-Nov-94 08:51:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT"), 120000)
        same(driver.ask("/status/503").retry_after_ms, -1)


@test
def cancelling_ends_it_at_once():
    with served(endpoint={"max_in_flight": 1}) as (driver, server):
        going, waiting = driver.send("/nothing"), driver.send("/ok")
        eventually(lambda: len(server.log()) == 1, "the first is there")
        for number, expected in ((waiting, "not sent"), (going, "unknown")):
            driver.do("cancel", id=number)
            answer = driver.answer(number)
            same((answer.outcome, answer.error_text), (expected, "cancelled"))
        driver.do("cancel", id=going)
        same(driver.ask("/ok").status, 200)
        same([entry.target for entry in server.log()], ["/nothing", "/ok"])


@test
def what_is_in_flight_at_the_end_is_dropped():
    with served(endpoint={"max_in_flight": 2}) as (driver, server):
        for _ in range(5):
            driver.send("/nothing")
        eventually(lambda: len(server.log()) == 2, "two are there")
        driver.do("close")
        same(driver.answers, {})


main()
