"""The console with a certificate of its own."""
import os
import re
import subprocess

from console import Server, certificate, does_not_start, main, test

certificate("certificate.pem", "key.pem")
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


def cipher(server, *options):
    """What the server takes of what the client has: the cipher, or None."""
    said = subprocess.run(["openssl", "s_client", "-connect", server.host, *options], input="", capture_output=True, text=True).stdout
    found = re.search(r"Cipher is (\S+)", said)
    assert found, said
    return None if found[1] == "(NONE)" else found[1]


@test
def only_tls_from_1_2_on_with_good_ciphers():
    """As the machine's settings may allow more, the server gets some that allow all."""
    with open("openssl.cnf", "w") as file:
        file.write("openssl_conf = all\n[all]\nssl_conf = ssl\n[ssl]\nsystem_default = any\n[any]\nMinProtocol = TLSv1\nCipherString = ALL:@SECLEVEL=0\n")
    with Server(*OPTIONS, environment={"OPENSSL_CONF": os.getcwd() + "/openssl.cnf"}) as server:
        for version in ("-tls1", "-tls1_1"):
            assert cipher(server, version, "-cipher", "ALL:@SECLEVEL=0") is None, version
        for name in ("AES128-SHA", "AES256-GCM-SHA384", "ECDHE-RSA-AES128-SHA", "ECDHE-RSA-AES256-SHA384", "DHE-RSA-AES256-GCM-SHA384", "AECDH-AES128-SHA", "ECDHE-RSA-NULL-SHA"):
            assert cipher(server, "-tls1_2", "-cipher", name + ":@SECLEVEL=0") is None, name
        for name in ("ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305"):
            assert cipher(server, "-tls1_2", "-cipher", name) == name, name
        assert cipher(server, "-tls1_3").startswith("TLS_")


@test
def files_that_do_not_fit_are_said():
    for options in (("--tls-certificate", "certificate.pem"), ("--tls-certificate", "certificate.pem", "--tls-key", "certificate.pem"),
                    ("--tls-certificate", "none.pem", "--tls-key", "key.pem")):
        said = does_not_start(*options)
        assert "tls" in said or "certificate" in said, said


@test
def a_key_that_others_can_read_is_refused():
    for mode in (0o604, 0o640, 0o644, 0o666):
        said = does_not_start(*OPTIONS, prepare=lambda: os.chmod("key.pem", mode))
        assert 'others may read or write "key.pem"' in said and "0600" in said, said
    os.chmod("key.pem", 0o400)
    with Server(*OPTIONS) as server:
        assert server.request("GET", "/").status == 200


@test
def behind_a_proxy_with_tls_the_cookie_is_secure():
    with Server("--origin", "https://console.example") as server:
        answer = server.try_log_in(headers={"Host": "console.example", "Origin": "https://console.example"})
        assert answer.headers["Set-Cookie"].startswith("__Host-sync_job_") and "; Secure" in answer.headers["Set-Cookie"]


main()
