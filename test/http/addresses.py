"""Where requests may go: each block of the tables, by an address of it, and the forms in which an address can hide."""
from client import ADDRESS_REFUSED, INVALID, OK, Driver, main, same, test

REFUSED = """
0.0.0.0 0.255.255.255 10.0.0.0 10.255.255.255 100.64.0.0 100.127.255.255 127.0.0.1 127.255.255.255 169.254.0.1 169.254.169.254 172.16.0.0 172.31.255.255
192.0.0.1 192.0.0.9 192.0.0.170 192.0.2.1 192.88.99.1 192.168.0.0 192.168.255.255 198.18.0.0 198.19.255.255 198.51.100.1 203.0.113.255 224.0.0.1
239.255.255.255 240.0.0.1 255.255.255.255
:: ::1 ::2 ::127.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::ffff:0:10.0.0.1 ::ffff:0:8.8.8.8 64:ff9b:1::1 64:ff9b:1:fffe::8.8.8.8 100::1 100:0:0:1::1
2001::1 2001:0:808:808::1 2001:1::1 2001:2::1 2001:4:112::1 2001:10::1 2001:20::1 2001:30::1 2001:1ff::1 2001:db8::1 2002::1 2002:808:808::1 2002:7f00:1::1 3fff::1
3fff:fff::1 5f00::1 fc00::1 fdff::1 fe80::1 febf::1 fec0::1 feff::1 ff02::1 ff0e::1
4000::1 1fff::1 e000::1 0:1::1
64:ff9b::127.0.0.1 64:ff9b::10.1.2.3 64:ff9b::a9fe:a9fe
2a00:1450::5efe:127.0.0.1 2a00:1450::200:5efe:192.168.1.1
""".split()

# Each beside one that is refused.
ALLOWED = """
1.0.0.0 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0
191.255.255.255 192.0.1.0 192.0.3.0 192.31.196.1 192.52.193.1 192.88.98.255 192.88.100.0 192.167.255.255 192.169.0.0 192.175.48.1 198.17.255.255 198.20.0.0
198.51.99.255 198.51.101.0 203.0.112.255 203.0.114.0 223.255.255.255
2001:200::1 2001:4860:4860::8888 2001:db7::1 2001:db9::1 2003::1 2000::1 2620:4f:8000::1 2a00:1450::1 3ffe::1 3fff:1000::1 64:ff9b::8.8.8.8
2a00:1450::5efe:8.8.8.8
""".split()


def verdict(driver, host, networks=()):
    return driver.do("check_endpoint", name="there", scheme="https", host=host, networks=list(networks))


@test
def every_block_of_the_tables_is_refused():
    with Driver() as driver:
        for address in REFUSED:
            reply = verdict(driver, address)
            same(reply["error"], ADDRESS_REFUSED, address)
            assert "globally reachable (" in reply["error_text"], reply


@test
def what_lies_beside_them_is_not():
    with Driver() as driver:
        for address in ALLOWED:
            reply = verdict(driver, address)
            same(reply["error"], OK, address + " " + reply["error_text"])


@test
def networks_allow_what_they_contain():
    with Driver() as driver:
        for address, networks, expected in (
                ("10.1.2.3", ["10.1.0.0/16"], OK), ("10.2.0.0", ["10.1.0.0/16"], ADDRESS_REFUSED), ("10.1.2.3", ["10.1.2.3"], OK),
                ("10.1.2.4", ["10.1.2.3"], ADDRESS_REFUSED), ("10.1.2.3", ["0.0.0.0/0"], OK), ("fd00::1", ["0.0.0.0/0"], ADDRESS_REFUSED),
                ("fd01::1", ["fd00::/16", "10.0.0.0/8"], ADDRESS_REFUSED), ("fd01::1", ["10.0.0.0/8", "fd00::/15"], OK), ("::1", ["::1"], OK),
                ("172.16.7.9", ["172.16.4.0/22"], OK), ("172.16.8.0", ["172.16.4.0/22"], ADDRESS_REFUSED)):
            same(verdict(driver, address, networks)["error"], expected, "%s in %s" % (address, networks))


@test
def another_form_of_an_address_needs_both():
    with Driver() as driver:
        for address, networks, expected in (
                ("::ffff:10.0.0.1", ["10.0.0.0/8"], ADDRESS_REFUSED), ("::ffff:10.0.0.1", ["::ffff:0:0/96"], ADDRESS_REFUSED),
                ("::ffff:10.0.0.1", ["::ffff:0:0/96", "10.0.0.0/8"], OK), ("64:ff9b::10.0.0.1", ["10.0.0.0/8"], OK),
                ("2002:a00:1::1", ["2002::/16"], ADDRESS_REFUSED), ("2002:808:808::1", ["2002::/16"], OK), ("::ffff:127.0.0.1", ["::/0"], ADDRESS_REFUSED),
                ("64:ff9b:1::10.0.0.1", ["64:ff9b:1::/48"], ADDRESS_REFUSED), ("2001:0:808:808::f5ff:fffe", ["2001::/32"], ADDRESS_REFUSED)):
            same(verdict(driver, address, networks)["error"], expected, "%s in %s" % (address, networks))


@test
def what_is_no_address_and_no_name_is_no_host():
    with Driver() as driver:
        for host in ("127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "1.2.3", "127.0.0.1.", "host.1", "fe80::1%lo", "[::1", "", ".", "a..b", "a b", "a/b", "a@b",
                     "a:80", "a\r\nb", "a#b", "bücher.example", "x" * 254, "user@host", "127.0.0.1\0.example"):
            same(verdict(driver, host, ["0.0.0.0/0", "::/0"])["error"], INVALID, repr(host))
        for host in ("example.com", "example.com.", "EXAMPLE.com", "a_b.example", "xn--bcher-kva.example", "localhost", "1and1.example", "[2a00:1450::1]"):
            same(verdict(driver, host)["error"], OK, host)


@test
def networks_that_are_none_are_said():
    with Driver() as driver:
        for network in ("10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "10.0.0/8", "fd00::/129", "everything", "10.0.0.0/8x", "10.0.0.0/+8"):
            reply = verdict(driver, "example.com", [network])
            same(reply["error"], INVALID, network)
            assert network in reply["error_text"]


main()
