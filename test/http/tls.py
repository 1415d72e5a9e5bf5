"""TLS: whom the client trusts, and what it shows of itself."""
import os
import subprocess

from client import CONNECT_FAILED, TLS_FAILED, Driver, Server, main, same, test
from dns import NameServer

HERE = os.getcwd()


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def authority(name):
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", name + ".key", "-out", name + ".pem", "-days", "2", "-subj", "/CN=" + name)


def certificate(name, by, alternative=None, ended=False):
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", name + ".key", "-out", name + ".csr", "-subj", "/CN=" + name)
    with open(name + ".ext", "w") as file:
        file.write("subjectAltName=%s\n" % (alternative or "DNS:" + name))
    if not ended:
        openssl("x509", "-req", "-in", name + ".csr", "-CA", by + ".pem", "-CAkey", by + ".key", "-CAcreateserial", "-days", "2", "-out", name + ".pem", "-extfile", name + ".ext")
        return
    with open("authority.conf", "w") as file:
        file.write("[ca]\ndefault_ca = a\n[a]\ndatabase = index\nrand_serial = yes\nnew_certs_dir = .\ndefault_md = sha256\npolicy = p\n[p]\ncommonName = supplied\n")
    open("index", "w").close()
    openssl("ca", "-batch", "-config", "authority.conf", "-in", name + ".csr", "-cert", by + ".pem", "-keyfile", by + ".key", "-startdate", "20200101000000Z",
            "-enddate", "20200201000000Z", "-out", name + ".pem", "-extfile", name + ".ext", "-notext")


authority("ca")
authority("other-ca")
certificate("shop.example", "ca", "DNS:shop.example,IP:127.0.0.1")
certificate("old.example", "ca", ended=True)
certificate("client", "ca")
openssl("ec", "-in", "client.key", "-aes256", "-passout", "pass:secret", "-out", "locked.key")
NAMES = {"shop.example": [["127.0.0.1"]], "other.example": [["127.0.0.1"]], "old.example": [["127.0.0.1"]]}


def file(name):
    return os.path.join(HERE, name)


def tls(name):
    return "--tls", name + ".pem", name + ".key"


def asked(driver, server, target="/echo", **options):
    driver.endpoint(**{"scheme": "https", "host": "shop.example", "port": server.tls_port, "ca_file": file("ca.pem"), **options})
    return driver.ask(target, method="POST", body="a")


@test
def a_certificate_must_be_of_the_host_and_by_somebody_trusted():
    with NameServer(NAMES) as names, Server(*tls("shop.example")) as server, Driver(dns_servers=names.address) as driver:
        answer = asked(driver, server)
        same((answer.outcome, answer.status, answer.json["tls"]), ("definite", 200, True))
        same(asked(driver, server, host="127.0.0.1").status, 200)
        for options in ({"host": "other.example"}, {"ca_file": file("other-ca.pem")}, {"ca_file": ""}, {"ca_file": file("none.pem")}):
            answer = asked(driver, server, **options)
            same((answer.outcome, answer.error), ("not sent", TLS_FAILED), options)
            assert answer.error_text.startswith("no TLS with"), answer.error_text
        same(len(server.log()), 2)
        same(asked(driver, server).status, 200)
    with NameServer(NAMES) as names, Server(*tls("old.example")) as server, Driver(dns_servers=names.address) as driver:
        answer = asked(driver, server, host="old.example")
        same((answer.outcome, answer.error), ("not sent", TLS_FAILED))
        assert "expired" in answer.error_text, answer.error_text


@test
def one_that_speaks_no_tls_gets_nothing():
    with NameServer(NAMES) as names, Server() as server, Driver(dns_servers=names.address) as driver:
        answer = asked(driver, server, port=server.port, connect_timeout_ms=300)
        same((answer.outcome, answer.error), ("not sent", CONNECT_FAILED))
        same(server.log(), [])


@test
def connections_with_tls_are_kept():
    with NameServer(NAMES) as names, Server(*tls("shop.example")) as server, Driver(dns_servers=names.address) as driver:
        for _ in range(5):
            asked(driver, server)
        same({entry.connection for entry in server.log()}, {1})
        asked(driver, server, certificate_file=file("client.pem"), key_file=file("client.key"))
        same({entry.connection for entry in server.log()}, {1, 2})  # what one endpoint has shown of itself is not for another


@test
def the_client_may_have_a_certificate():
    with NameServer(NAMES) as names, Server(*tls("shop.example"), "--client-ca", "ca.pem") as server, Driver(dns_servers=names.address) as driver:
        same(asked(driver, server, certificate_file=file("client.pem"), key_file=file("client.key")).json["client"], "client")
        with open("both.pem", "w") as both:
            both.write(open("client.pem").read() + open("client.key").read())
        same(asked(driver, server, certificate_file=file("both.pem")).json["client"], "client")
        answer = asked(driver, server)
        assert answer.outcome in ("unknown", "not sent"), answer
    with NameServer(NAMES) as names, Server(*tls("shop.example"), "--client-ca", "ca.pem") as server, Driver(dns_servers=names.address) as driver:
        # the password of a key is not asked for at a terminal
        for key in ("locked.key", "shop.example.key", "none.key"):
            answer = asked(driver, server, certificate_file=file("client.pem"), key_file=file(key))
            same((answer.outcome, answer.error), ("not sent", TLS_FAILED), key)


@test
def a_redirect_does_not_leave_tls():
    with NameServer(NAMES) as names, Server(*tls("shop.example")) as server, Driver(dns_servers=names.address) as driver:
        answer = asked(driver, server, "/redirect/307?to=http://shop.example:%d/ok" % server.port, max_redirects=3)
        same((answer.outcome, answer.status, answer.error_text), ("definite", 307, "redirect from https to http"))
        driver.endpoint(server, host="shop.example", max_redirects=3, ca_file=file("ca.pem"))
        answer = driver.ask("/redirect/307?to=https://shop.example:%d/echo" % server.tls_port, headers=[["Authorization", "s3cret", 1]])
        same((answer.json["tls"], "s3cret" in answer.body), (True, False))


@test
def a_certificate_is_shown_to_the_endpoint_alone():
    with NameServer(NAMES) as names, Server(*tls("shop.example"), "--client-ca", "ca.pem") as server, Driver(dns_servers=names.address) as driver:
        options = {"max_redirects": 3, "certificate_file": file("client.pem"), "key_file": file("client.key")}
        same(asked(driver, server, "/redirect/307?to=/echo", **options).json["client"], "client")
        answer = asked(driver, server, "/redirect/307?to=https://127.0.0.1:%d/echo" % server.tls_port, **options)
        assert answer.outcome in ("unknown", "not sent") and answer.redirects == 1, answer


main()
