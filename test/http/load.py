"""Many requests, in one thread: how fast, and that nothing is lost or sent otherwise while a server fails at random.

On a slow machine it may take longer; RATE says how many requests a second it must be at least.
"""
import collections
import os
import threading
import time

from client import LIMIT, main, same, served, test

RATE = float(os.environ.get("RATE", "1000"))


class Watch:
    """The threads of a process, looked at all the time."""

    def __init__(self, pid):
        self.most, self.looks, self.over = 0, 0, False
        self.thread = threading.Thread(target=self.look, args=("/proc/%d/task" % pid,))
        self.thread.start()

    def look(self, folder):
        while not self.over:
            self.most = max(self.most, len(os.listdir(folder)))
            self.looks += 1
            time.sleep(0.01)

    def end(self):
        self.over = True
        self.thread.join()
        return self.most


@test
def twenty_thousand_documents_at_64_a_time():
    """The server takes 50 ms for each: no more than 1,280 a second are possible."""
    count = 20000
    with served(endpoint={"max_in_flight": 64}) as (driver, server):
        watch = Watch(driver.process.pid)
        driver.ask("/ok")
        began = time.monotonic()
        numbers = [driver.send("/delay/50/%d" % number, method="POST", body='{"sku": %d, "name": "%s"}' % (number, "x" * 200), headers=[["Idempotency-Key", str(number)]])
                   for number in range(count)]
        statuses = collections.Counter(driver.answer(number, limit=10 * LIMIT).status for number in numbers)
        rate = count / (time.monotonic() - began)
        print("        %d a second, of 1,280" % rate, flush=True)
        same(statuses, {200: count})
        same(watch.end(), 1, "the number of threads")
        log = server.log()
        same(collections.Counter(entry.target for entry in log if entry.method == "POST"), {"/delay/50/%d" % number: 1 for number in range(count)})
        assert max(entry.connection for entry in log) <= 65, "connections were not kept"
        assert max(entry.in_flight for entry in log) <= 64
        assert rate >= RATE, "%d a second" % rate


@test
def what_fails_is_told_from_what_does_not():
    """Of 2,000 each is sent until its answer is 200, as a worker does: all arrive, and no key has two bodies."""
    with served("--seed", "7", endpoint={"max_in_flight": 64}) as (driver, server):
        left = {number: None for number in range(2000)}
        outcomes = collections.Counter()
        while left:
            sent = {driver.send("/flaky/5/%d" % number, method="PUT", body="document %d" % number, headers=[["Idempotency-Key", str(number)]], timeout_ms=1500): number
                    for number in left}
            for request, number in sent.items():
                answer = driver.answer(request)
                outcomes[answer.outcome, answer.status] += 1
                assert answer.outcome in ("definite", "unknown"), answer
                if answer.status == 200:
                    del left[number]
        bodies, arrived = collections.defaultdict(set), collections.Counter()
        for entry in server.log():
            bodies[entry.header("idempotency-key")].add(entry.body)
            arrived[entry.target] += 1
        same(len(bodies), 2000)
        same({len(same_key) for same_key in bodies.values()}, {1})
        assert outcomes["definite", 503] > 10 and outcomes["unknown", 0] > 10, outcomes


main()
