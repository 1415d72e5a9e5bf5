"""How many at a time, how many a second, and pauses: of one endpoint, and of all."""

from client import OK, eventually, main, same, served, test
from dns import NameServer


def answers(driver, numbers):
    return [driver.answer(number) for number in numbers]


@test
def no_more_are_in_flight_than_allowed():
    with served(endpoint={"max_in_flight": 3}) as (driver, server):
        driver.endpoint(server, name="other", max_in_flight=2)
        numbers = [driver.send("/delay/20", name) for _ in range(20) for name in ("shop", "other")]
        same(driver.state()["room"], 0)
        answers(driver, numbers)
        assert max(entry.in_flight for entry in server.log()) == 5, [entry.in_flight for entry in server.log()]
        same(driver.state(), {"in_flight": 0, "waiting": 0, "room": 3, "room_in_ms": 0, "paused_ms": 0})


@test
def nor_of_all_endpoints_and_each_has_its_turn():
    with served(endpoint={"max_in_flight": 100}, max_in_flight=4) as (driver, server):
        driver.endpoint(server, name="other", max_in_flight=100)
        numbers = [driver.send("/delay/20/%s" % name, name) for name in ["shop"] * 40 + ["other"] * 4]
        answers(driver, numbers)
        log = server.log()
        same(max(entry.in_flight for entry in log), 4)
        last = max(index for index, entry in enumerate(log) if entry.target == "/delay/20/other")
        assert last < 40, last


@test
def no_second_has_more_than_allowed():
    with served(endpoint={"max_in_flight": 50, "requests_per_second": 20}) as (driver, server):
        answers(driver, [driver.send("/ok") for _ in range(30)])
        times = [entry.time for entry in server.log()]
        spans = [last - first for first, last in zip(times, times[20:])]
        assert min(spans) > 0.7 and times[-1] - times[0] > 1.3, (spans, times[-1] - times[0])


@test
def less_than_one_a_second_is_a_limit_too():
    with served(endpoint={"requests_per_second": 0.5}) as (driver, server):
        same(driver.state()["room"], 1)
        answers(driver, [driver.send("/ok") for _ in range(2)])
        times = [entry.time for entry in server.log()]
        assert times[1] - times[0] > 1.9, times
        state = driver.state()
        same(state["room"], 0)
        assert 0 < state["room_in_ms"] <= 1000, state


@test
def room_says_how_many_would_start_within_a_second():
    with served(endpoint={"max_in_flight": 50, "requests_per_second": 10}) as (driver, server):
        assert 9 <= driver.state()["room"] <= 11, driver.state()
        numbers = [driver.send("/ok") for _ in range(25)]
        state = driver.state()
        same(state["room"], 0)
        assert 500 < state["room_in_ms"] <= 1700, state
        eventually(lambda: driver.state()["room"] > 0, "room")
        assert driver.state()["waiting"] <= 10, driver.state()
        answers(driver, numbers)


@test
def retry_after_pauses_the_whole_endpoint():
    for status in (429, 503):
        with served(endpoint={"max_in_flight": 10, "max_pause_ms": 60000}) as (driver, server):
            driver.endpoint(server, name="other")
            answer = driver.ask("/status/%d?header=Retry-After:1" % status)
            same((answer.outcome, answer.error, answer.status, answer.retry_after_ms), ("definite", OK, status, 1000))
            state = driver.state()
            same(state["room"], 0)
            assert 0 < state["paused_ms"] <= 1000 and 0 < state["room_in_ms"] <= 1000, state
            numbers = [driver.send("/ok") for _ in range(5)]
            same(driver.ask("/ok", "other").status, 200)
            answers(driver, numbers)
            log = server.log()
            paused = [entry.time - log[0].time for entry in log if entry.target == "/ok"][1:]
            assert len(paused) == 5 and min(paused) > 0.95, paused


@test
def pauses_have_an_end():
    with served(endpoint={"max_pause_ms": 300}) as (driver, server):
        driver.ask("/status/429?header=Retry-After:100000")
        assert driver.state()["paused_ms"] <= 300, driver.state()
        same(driver.ask("/ok").status, 200)
        driver.ask("/status/500?header=Retry-After:100")
        same(driver.state()["paused_ms"], 0)
        driver.endpoint(server, max_pause_ms=0)
        driver.ask("/status/429?header=Retry-After:100")
        same(driver.state()["paused_ms"], 0)


@test
def somebody_else_may_ask_for_a_pause():
    with served() as (driver, server):
        driver.do("pause", endpoint="shop", pause_ms=100000)
        number = driver.send("/ok")
        driver.do("pause", endpoint="nowhere", pause_ms=100000)
        same((driver.state()["waiting"], server.log()), (1, []))
        driver.do("pause", endpoint="shop", pause_ms=0)
        same(driver.answer(number).status, 200)
        same(driver.state("nowhere"), {"in_flight": 0, "waiting": 0, "room": 0, "room_in_ms": 0, "paused_ms": 0})


@test
def waiting_for_ones_turn_is_no_time_out():
    with served(endpoint={"max_in_flight": 1}) as (driver, _):
        numbers = [driver.send("/delay/200", timeout_ms=10000 if number == 0 else 1500) for number in range(10)]
        for answer in answers(driver, numbers):
            same((answer.outcome, answer.status), ("definite", 200))


@test
def waiting_costs_nothing():
    """Requests that wait for a name, a connection, an answer, a pause, their turn: whoever waits for all of them is not woken."""
    with NameServer({"silent.example": ["silent"]}) as names, served(endpoint={"max_in_flight": 2}, dns_servers=names.address) as (driver, server):
        driver.endpoint(server, name="silent", host="silent.example")
        driver.endpoint(server, name="paused")
        driver.endpoint(server, name="slow", requests_per_second=0.01)
        driver.do("pause", endpoint="paused", pause_ms=60000)
        for name in ("silent", "paused", "slow", "slow", "shop"):
            driver.send("/nothing", name)
        before = driver.do("process")["rounds"]
        driver.ask("/delay/1500")
        rounds = driver.do("process")["rounds"] - before
        assert rounds < 50, rounds


@test
def limits_may_change():
    with served(endpoint={"max_in_flight": 1}) as (driver, server):
        numbers = [driver.send("/delay/100") for _ in range(8)]
        driver.endpoint(server, max_in_flight=8)
        answers(driver, numbers)
        assert max(entry.in_flight for entry in server.log()) >= 6, [entry.in_flight for entry in server.log()]


main()
