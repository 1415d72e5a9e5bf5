"""Many at a time: open streams, slow clients, people who ask. None of it may keep the others waiting."""
import contextlib
import os
import socket
import ssl
import threading

from console import LIMIT, Server, certificate, eventually, locked_queues, main, sql, test


@test
def streams_and_slow_clients_slow_nobody_down():
    """200 open streams and 50 clients that read or send nothing: a page is answered before any of these times out."""
    roles = ("viewer", "operator", "manager", "nobody_else")
    with Server("--sessions", "20") as server:
        clients = [server.log_in(roles[i % 4]) for i in range(20)]
        streams = [client.stream() for client in clients for _ in range(10)]
        assert all(stream.next()[0] in ("listen", "poll") for stream in streams)
        slow = []
        for i in range(50):
            connection = server.connect()
            if i % 2:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: ")  # and no more
            else:
                one = "GET / HTTP/1.1\r\nHost: %s\r\n\r\n" % server.host  # and reads no answer
                connection.setblocking(False)
                try:
                    while connection.send(one.encode() * 500):
                        pass
                except BlockingIOError:
                    pass
            slow.append(connection)
        answers = []

        def ask(client):
            for _ in range(10):
                answers.append((client.get("/api/queues").status, client.get("/").status))
        threads = [threading.Thread(target=ask, args=(client,)) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(answers) == {(200, 200)} and len(answers) == 200, set(answers)
        # What all wait for reaches all.
        sql("NOTIFY sync_job_changed, '{\"types\": [], \"queues\": [\"default\"], \"all\": false}'")
        if streams[0] and sql("SELECT to_regproc('watch_sync_jobs') IS NOT NULL") == "t":
            for stream in streams[:10]:
                assert stream.wait_for("changed", "end")[0] == "changed"
        for connection in slow:
            connection.close()
        for stream in streams:
            stream.close()
        assert sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sync-job serve'") == "20"


@test
def a_stream_too_many_ends_the_oldest():
    with Server() as server:
        client = server.log_in()
        streams = [client.stream() for _ in range(25)]
        for stream in streams[:5]:
            assert stream.wait_for("end") is not None
        assert client.get("/api/queues").status == 200
        for stream in streams:
            stream.close()


@test
def a_session_has_a_limit_of_waiting_requests():
    with Server() as server:
        client = server.log_in()
        with locked_queues():
            answers = []
            threads = [threading.Thread(target=lambda: answers.append(client.get("/api/queues"))) for _ in range(60)]
            for thread in threads:
                thread.start()
            eventually(lambda: any(answer.error["code"] == "53300" for answer in list(answers)), "too many wait")
        for thread in threads:
            thread.join()
        assert client.get("/api/queues").status == 200


@test
def it_ends_cleanly_whatever_waits():
    """At a signal, while log-ins wait for their turn, requests for the database, streams for changes. Sanitizers look at it, too."""
    for log_ins, requests, streams in ((5, 0, 0), (0, 8, 0), (0, 0, 5), (5, 8, 5)):
        with Server() as server, locked_queues():
            client = server.log_in()
            opened = [client.stream() for _ in range(streams)]
            for _ in range(6 if log_ins else 0):
                server.try_log_in("ghost", "wrong", source="127.0.0.5")
            threads = [threading.Thread(target=server.try_log_in, args=("ghost", "wrong"), kwargs={"source": "127.0.0.5"}) for _ in range(log_ins)]
            threads += [threading.Thread(target=client.get, args=("/api/queues",)) for _ in range(requests)]
            for thread in threads:
                thread.start()
            if requests:
                eventually(lambda: sql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'viewer' AND wait_event_type = 'Lock'") == "1", "one waits")
            server.process.terminate()
            assert server.process.wait(timeout=LIMIT) == 0, server.log()
            for thread in threads:
                thread.join()
            for stream in opened:
                stream.close()


def cut_off(function, *arguments):
    """Asks something whose answer may not come any more."""
    with contextlib.suppress(OSError):
        function(*arguments)


def requests_metrics(port):
    with socket.create_connection(("127.0.0.1", port)) as plain:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(plain) as connection:
            connection.sendall(("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % port).encode())
            while connection.recv(65536):
                pass


@test
def it_ends_cleanly_in_the_midst_of_anything():
    """What writes, what is being canceled, a scrape, a log-in that no server answers, a body half sent, a handshake half done."""
    with open("metrics_password", "w") as file:
        os.chmod("metrics_password", 0o600)
        file.write("secret")
    certificate("end.pem", "end.key")
    deaf = socket.create_server(("127.0.0.1", 0))  # which accepts, and says nothing
    metrics = ("--metrics-role", "viewer", "--metrics-listen", "127.0.0.1:0", "--metrics-password-file", "metrics_password")
    with Server(*metrics, "--tls-certificate", "end.pem", "--tls-key", "end.key") as server, \
            Server(host="127.0.0.1", port=deaf.getsockname()[1]) as lost, locked_queues():
        client = server.log_in("operator")
        half = [server.connect(), socket.create_connection((server.address, server.port)), server.connect()]
        half[0].sendall(("POST /api/jobs HTTP/1.1\r\nHost: %s\r\nOrigin: %s\r\nContent-Type: application/json\r\nContent-Length: 10\r\n%s\r\n{" % (
            server.host, server.origin, "".join("%s: %s\r\n" % pair for pair in client.headers().items()))).encode())
        half[1].sendall(b"\x16\x03\x01\x02")
        half[2].sendall(b"GET / HT")
        scraped = int(server.process.stdout.readline().split(":")[2].split("/")[0])
        slot = {"X-Sync-Job-Slot": "list"}
        asked = [(client.post, ("/api/queues/none/pause", {})), (client.get, ("/api/queues", slot)), (client.get, ("/api/queues", slot)),
                 (lost.try_log_in, ()), (lost.try_log_in, ("operator",)), (requests_metrics, (scraped,))]
        threads = [threading.Thread(target=cut_off, args=(function, *arguments)) for function, arguments in asked]
        for thread in threads:
            thread.start()
        eventually(lambda: sql("SELECT count(*) FROM pg_stat_activity WHERE usename IN ('viewer', 'operator') AND wait_event_type = 'Lock'") == "2", "both wait")
        reader = server.log_in("viewer")
        reading = threading.Thread(target=cut_off, args=(reader.get, "/api/queues", slot))
        reading.start()
        eventually(lambda: sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == "3", "it waits")
        threads += [reading, threading.Thread(target=cut_off, args=(reader.get, "/api/queues", slot))]
        threads[-1].start()  # cancels the one before
        for one in (server, lost):
            one.process.terminate()
            assert one.process.wait(timeout=LIMIT) == 0, one.log()
        for thread in threads:
            thread.join()
        for connection in half + [deaf]:
            connection.close()


main()
