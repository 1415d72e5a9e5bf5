"""A small DNS server for the tests, which answers as a test says; and counts."""
import socket
import struct
import threading

A, AAAA = 1, 28


class NameServer:
    """`names` has lists of addresses by name: the first question about a name gets the first list, the last one is for all that follow.
    In place of a list: "silent" for no answer at all, "fails" for SERVFAIL. A name that is not there does not exist."""

    def __init__(self, names, ttl=0):
        self.names, self.ttl, self.questions = names, ttl, []
        self.asked = {}
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def serve(self):
        while True:
            try:
                question, asker = self.socket.recvfrom(4096)
                answer = self.answer(question)
                if answer:
                    self.socket.sendto(answer, asker)
            except OSError:
                return

    def answer(self, message):
        name, end = "", 12
        while message[end]:
            name += message[end + 1 : end + 1 + message[end]].decode() + "."
            end += 1 + message[end]
        kind = struct.unpack(">H", message[end + 1 : end + 3])[0]
        name, question = name[:-1].lower(), message[12 : end + 5]
        self.questions.append((name, kind))
        lists = self.names.get(name)
        if lists is None:
            return self.packed(message, question, 3, [])
        addresses = lists[min(self.asked.get((name, kind), 0), len(lists) - 1)]
        self.asked[name, kind] = self.asked.get((name, kind), 0) + 1
        if addresses == "silent":
            return None
        if addresses == "fails":
            return self.packed(message, question, 2, [])
        family = socket.AF_INET6 if kind == AAAA else socket.AF_INET
        right = [address for address in addresses if (":" in address) == (kind == AAAA)] if kind in (A, AAAA) else []
        return self.packed(message, question, 0, [(kind, socket.inet_pton(family, address)) for address in right])

    def packed(self, message, question, code, records):
        answer = message[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, len(records), 0, 0) + question
        for kind, data in records:
            answer += struct.pack(">HHHIH", 0xC00C, kind, 1, self.ttl, len(data)) + data
        return answer
