"""Names: looked up without a thread, every answer checked, also the one that comes later."""
import socket
import time

from client import ADDRESS_REFUSED, CANCELLED, CONNECT_FAILED, NAME_FAILED, NAME_NOT_FOUND, OK, Driver, Server, eventually, main, same, test
from dns import NameServer

BOTH = ("--address", "127.0.0.1", "127.0.0.2")


def asked(driver, server, host, target="/echo", **options):
    driver.endpoint(server, host=host, **options)
    return driver.ask(target)


@test
def a_name_leads_to_its_address():
    with NameServer({"shop.example": [["127.0.0.1"]]}) as names, Server() as server, Driver(dns_servers=names.address) as driver:
        answer = asked(driver, server, "Shop.Example")
        same((answer.outcome, answer.status, answer.address), ("definite", 200, "127.0.0.1"))
        same(answer.json["headers"][0], ["Host", "shop.example:%d" % server.port])
        same(asked(driver, server, "shop.example.").status, 200)


@test
def a_name_that_does_not_exist_means_not_sent():
    with NameServer({"fails.example": ["fails"], "silent.example": ["silent"], "empty.example": [[]]}) as names, Driver(dns_servers=names.address) as driver:
        for host, error in (("nowhere.example", NAME_NOT_FOUND), ("empty.example", NAME_NOT_FOUND), ("fails.example", NAME_FAILED)):
            answer = asked(driver, None, host)
            same((answer.outcome, answer.error), ("not sent", error), host + " " + answer.error_text)
            assert host in answer.error_text, answer.error_text
        began = time.monotonic()
        answer = asked(driver, None, "silent.example", connect_timeout_ms=300)
        same((answer.outcome, answer.error), ("not sent", NAME_FAILED))
        assert time.monotonic() - began < 10
        same(driver.do("process")["threads"], 1)


@test
def a_name_of_a_place_that_may_not_be_reached_is_refused():
    with NameServer({"inside.example": [["127.0.0.2"]], "mapped.example": [["::ffff:127.0.0.2"]], "all.example": [["10.0.0.1", "fd00::1", "169.254.169.254"]],
                     "zero.example": [["0.0.0.0"]]}) as names, Server(*BOTH) as server, Driver(dns_servers=names.address) as driver:
        for host in ("inside.example", "mapped.example", "all.example", "zero.example"):
            answer = asked(driver, server, host)
            same((answer.outcome, answer.error), ("not sent", ADDRESS_REFUSED), host)
            assert answer.error_text.startswith('host "%s": address ' % host), answer.error_text
        same(asked(driver, server, "localhost", networks=[]).error, ADDRESS_REFUSED)
        same(server.log(), [])


@test
def a_second_answer_is_checked_as_the_first():
    """The name first leads to where it may, then inside: for a new request, and for one that a redirect makes."""
    with NameServer({"rebinds.example": [["127.0.0.1"], ["127.0.0.2"]]}) as names, Server(*BOTH) as server, Driver(dns_servers=names.address) as driver:
        same(asked(driver, server, "rebinds.example").status, 200)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:  # while the first answer is good
            answer = driver.ask("/ok")
            if answer.status != 200:
                break
        same((answer.outcome, answer.error), ("not sent", ADDRESS_REFUSED))
        same({entry.local for entry in server.log()}, {"127.0.0.1"})
    with NameServer({"rebinds.example": [["127.0.0.1"], ["127.0.0.2"]]}) as names, Server(*BOTH) as server, Driver(dns_servers=names.address) as driver:
        answer = asked(driver, server, "rebinds.example", "/redirect/307?delay=1100&to=/ok", max_redirects=1)
        same((answer.outcome, answer.error, answer.redirects), ("not sent", ADDRESS_REFUSED, 1))
        same({entry.local for entry in server.log()}, {"127.0.0.1"})


@test
def a_kept_connection_is_no_way_around_the_check():
    """Another endpoint has a connection to there, and this one may not."""
    with NameServer({"inside.example": [["127.0.0.2"]]}) as names, Server(*BOTH) as server, Driver(dns_servers=names.address) as driver:
        driver.endpoint(server, name="trusted", host="inside.example", networks=["127.0.0.0/8"])
        same(driver.ask("/ok", "trusted").status, 200)
        driver.endpoint(server, host="inside.example")
        same(driver.ask("/ok").error, ADDRESS_REFUSED)
        same(driver.ask("/ok", "trusted").status, 200)
        same([entry.connection for entry in server.log()], [1, 1])


@test
def of_several_addresses_those_that_may_be_are_tried_in_turn():
    with NameServer({"shop.example": [["127.0.0.3", "127.0.0.2", "10.0.0.1", "127.0.0.1"]]}, ttl=60) as names:
        with Server() as server, Driver(dns_servers=names.address) as driver:
            for _ in range(3):
                answer = asked(driver, server, "shop.example", networks=["127.0.0.0/30"])
                same((answer.outcome, answer.status, answer.address), ("definite", 200, "127.0.0.1"))
            same({entry.connection for entry in server.log()}, {1})
            answer = asked(driver, None, "shop.example", networks=["127.0.0.0/30"], port=1)
            same((answer.outcome, answer.error), ("not sent", CONNECT_FAILED))


@test
def a_question_may_be_given_up():
    with NameServer({"silent.example": ["silent"]}) as names, Driver(dns_servers=names.address) as driver:
        driver.endpoint(host="silent.example", max_in_flight=5)
        numbers = [driver.send("/ok") for _ in range(5)]
        eventually(lambda: names.questions, "it asks")
        for number in numbers[:3]:
            driver.do("cancel", id=number)
            same((driver.answer(number).outcome, driver.answer(number).error), ("not sent", CANCELLED))
        same(driver.state()["in_flight"], 2)
        driver.do("close")


@test
def an_answer_is_kept_as_long_as_it_says():
    with NameServer({"shop.example": [["127.0.0.1"]]}, ttl=60) as names, Server() as server, Driver(dns_servers=names.address) as driver:
        driver.endpoint(server, host="shop.example")
        for _ in range(50):
            driver.ask("/ok")
        same(len([name for name, kind in names.questions if kind == 1]), 1)
    with NameServer({"shop.example": [["127.0.0.1"]]}) as names, Server() as server, Driver(dns_servers=names.address) as driver:
        driver.endpoint(server, host="shop.example")
        numbers = [driver.send("/ok") for _ in range(50)]
        same({driver.answer(number).status for number in numbers}, {200})
        assert len([name for name, kind in names.questions if kind == 1]) <= 5, names.questions  # and one of no time for a second


@test
def ipv6_is_good_too():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return  # this machine has none
    with Server("--address", "::1") as server, Driver() as driver:
        driver.endpoint(server, host="::1", networks=["::1"])
        answer = driver.ask("/echo")
        same((answer.error, answer.status, answer.address), (OK, 200, "::1"))
        same(answer.json["headers"][0], ["Host", "[::1]:%d" % server.port])


main()
