"""The console with a certificate of its own."""
import subprocess

from console import Server, main, test

subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "certificate.pem", "-days", "2",
                "-subj", "/CN=localhost"], check=True, capture_output=True)
OPTIONS = ("--tls-certificate", "certificate.pem", "--tls-key", "key.pem")


@test
def the_cookie_stays_on_tls():
    with Server(*OPTIONS) as server:
        assert server.scheme == "https"
        answer = server.try_log_in()
        assert answer.headers["Set-Cookie"].startswith("__Host-sync_job_") and "; Secure" in answer.headers["Set-Cookie"]
        client = server.log_in()
        assert client.get("/api/session").json["user"] == "viewer"
        assert server.try_log_in(origin=False, headers={"Origin": "http://" + server.host}).status == 403
        events = client.stream()
        assert events.next()[0] in ("listen", "poll")
        events.close()


@test
def who_speaks_no_tls_gets_nothing():
    with Server(*OPTIONS) as server:
        server.scheme = "http"
        assert server.request("GET", "/").status == 0
        server.scheme = "https"
        assert server.request("GET", "/").status == 200
        old = subprocess.run(["openssl", "s_client", "-connect", server.host, "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"], input="", capture_output=True, text=True)
        assert "Cipher is (NONE)" in old.stdout, old.stdout


@test
def files_that_do_not_fit_are_said():
    for options in (("--tls-certificate", "certificate.pem"), ("--tls-certificate", "certificate.pem", "--tls-key", "certificate.pem"),
                    ("--tls-certificate", "none.pem", "--tls-key", "key.pem")):
        try:
            Server(*options)
            raise SystemExit("it starts with " + str(options))
        except AssertionError as error:
            assert "tls" in str(error) or "certificate" in str(error), error


@test
def behind_a_proxy_with_tls_the_cookie_is_secure():
    with Server("--origin", "https://console.example") as server:
        answer = server.try_log_in(headers={"Host": "console.example", "Origin": "https://console.example"})
        assert answer.headers["Set-Cookie"].startswith("__Host-sync_job_") and "; Secure" in answer.headers["Set-Cookie"]


main()
