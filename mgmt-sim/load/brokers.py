#!/usr/bin/env python3
"""The daemon in turn with brokers of other protocols, under the same load: Mosquitto (MQTT) and nats-server, from Debian.

    mgmt-sim/load/brokers.py [--daemon target/release/cloud-channel] [--rounds 5] [--seconds 3]

`mgmt-sim load` speaks Bayeux alone. This says the same thing in three protocols, with as little as each of them needs: 300 bytes
to one receiver, each message a write of its own from its publisher. Printed is the CPU time of the server for a million
deliveries. nats-server answers no publish; Mosquitto with QoS 1 does, as a Bayeux server does; with QoS 0 it does not.
"""

import argparse
import base64
import json
import os
import resource
import select
import shutil
import socket
import statistics
import subprocess
import tempfile
import time

PAD = "x" * 286
MARK = b'"pad"'


def connect(port):
    """A connection that sends at once."""
    stream = socket.create_connection(("127.0.0.1", port))
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return stream


def await_bytes(stream, mark):
    """Reads until something has come; what came with it."""
    seen = b""
    while mark not in seen:
        more = stream.recv(65536)
        if not more:
            raise SystemExit(f"the server closed the connection after {seen[-200:]!r}, instead of {mark!r}")
        seen += more
    return seen


class Bayeux:
    """A session over WebSocket."""

    def __init__(self, port):
        self.stream = connect(port)
        key = base64.b64encode(os.urandom(16)).decode()
        self.stream.sendall(
            f"GET /events HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        await_bytes(self.stream, b"\r\n\r\n")
        ways = ["websocket"]
        shake = self.ask({"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ways})
        self.client = shake[shake.index(b"{") :].decode().split('"clientId":"')[1].split('"')[0]
        self.ask({"channel": "/meta/connect", "clientId": self.client, "connectionType": "websocket"})
        self.send({"channel": "/meta/connect", "clientId": self.client, "connectionType": "websocket"})

    @staticmethod
    def frame(text):
        """A frame as a client sends it; the mask is zero, which the server has to undo like any other."""
        size = len(text)
        head = bytes([0x81, 0x80 | size]) if size < 126 else bytes([0x81, 0xFE]) + size.to_bytes(2, "big")
        return head + bytes(4) + text

    def send(self, message):
        self.stream.sendall(self.frame(json.dumps([message]).encode()))

    def ask(self, message):
        self.send(message)
        return await_bytes(self.stream, b'"successful":true')

    def subscribe(self, channel):
        self.ask({"channel": "/meta/subscribe", "clientId": self.client, "subscription": channel})

    def message(self, channel):
        body = {"channel": channel, "clientId": self.client, "id": "17", "data": {"pad": PAD}}
        return self.frame(json.dumps([body], separators=(",", ":")).encode())


class Mqtt:
    """A connection of MQTT 3.1.1."""

    qos = 0

    def __init__(self, port):
        self.stream = connect(port)
        self.send(0x10, b"\0\4MQTT\4\2\0\0" + self.text(os.urandom(6).hex()))
        await_bytes(self.stream, b"\x20\2\0\0")

    @staticmethod
    def text(words):
        return len(words).to_bytes(2, "big") + words.encode()

    @staticmethod
    def packet(kind, body):
        size, length = len(body), b""
        while size > 127:
            length += bytes([size % 128 | 0x80])
            size //= 128
        return bytes([kind]) + length + bytes([size]) + body

    def send(self, kind, body):
        self.stream.sendall(self.packet(kind, body))

    def subscribe(self, channel):
        self.send(0x82, b"\0\1" + self.text(channel.replace("*", "+")) + b"\0")
        await_bytes(self.stream, b"\x90\3\0\1")

    def message(self, channel):
        number = b"\0\7" if self.qos else b""
        body = self.text(channel) + number + json.dumps({"pad": PAD}, separators=(",", ":")).encode()
        return self.packet(0x30 | self.qos << 1, body)


class AcknowledgedMqtt(Mqtt):
    """The same, with an answer to every publish."""

    qos = 1


class Nats:
    """A connection of NATS."""

    def __init__(self, port):
        self.stream = connect(port)
        self.settle(b'CONNECT {"verbose":false,"pedantic":false}\r\n')

    def settle(self, commands):
        self.stream.sendall(commands + b"PING\r\n")
        await_bytes(self.stream, b"PONG")

    def subscribe(self, channel):
        self.settle(b"SUB %s 1\r\n" % channel.strip("/").replace("/", ".").encode())

    def message(self, channel):
        body = json.dumps({"pad": PAD}, separators=(",", ":")).encode()
        return b"PUB %s %d\r\n%s\r\n" % (channel.strip("/").replace("/", ".").encode(), len(body), body)


def processor_time(pid):
    """Seconds of user and system time of a process, proc_pid_stat(5)."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Load:
    """Messages on their way from publishers to receivers, each to one of these."""

    def __init__(self, speaker, port, workload, sessions):
        if workload == "fan-in":
            receivers, publishers = [speaker(port)], [speaker(port) for _ in range(sessions)]
            receivers[0].subscribe("/bench/*")
            self.messages = [(one.stream, one.message(f"/bench/p{at}")) for at, one in enumerate(publishers)]
        else:
            receivers, publishers = [speaker(port) for _ in range(sessions)], [speaker(port)]
            for at, receiver in enumerate(receivers):
                receiver.subscribe(f"/bench/c{at}")
            one = publishers[0]
            self.messages = [(one.stream, one.message(f"/bench/c{at}")) for at in range(sessions)]
        self.sent = self.received = 0
        self.epoll, self.streams, self.tails = select.epoll(), {}, {}
        for one in publishers + receivers:
            self.epoll.register(one.stream, select.EPOLLIN)
            self.streams[one.stream.fileno()] = one.stream
        for one in receivers:
            self.tails[one.stream.fileno()] = b""

    def send(self, number):
        for _ in range(number):
            # Not in order of the channels: neighbours would share what the processor has fetched.
            stream, message = self.messages[self.sent * 7919 % len(self.messages)]
            stream.sendall(message)
            self.sent += 1

    def run(self, in_flight, seconds):
        end = time.monotonic() + seconds
        self.send(in_flight - (self.sent - self.received))
        while time.monotonic() < end:
            ready = self.epoll.poll(5)
            if not ready:
                raise SystemExit("nothing came for five seconds")
            for number, _ in ready:
                content = self.streams[number].recv(1 << 18)
                if not content:
                    raise SystemExit("the server closed a connection")
                if number in self.tails:
                    content = self.tails[number] + content
                    self.received += content.count(MARK)
                    # A mark may be cut in two.
                    self.tails[number] = content[max(content.rfind(MARK) + len(MARK), len(content) - 4) :]
            self.send(in_flight - (self.sent - self.received))

    def measure(self, pid, in_flight, seconds):
        """CPU seconds for a million deliveries."""
        self.run(in_flight, seconds / 3)
        before, received = processor_time(pid), self.received
        self.run(in_flight, seconds)
        return (processor_time(pid) - before) / (self.received - received) * 1e6


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(command, port):
    """A server that answers on its port."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(100):
        if process.poll() is not None:
            raise SystemExit(f"{command[0]} ended with status {process.returncode}")
        try:
            connect(port).close()
            return process
        except ConnectionRefusedError:
            time.sleep(0.1)
    raise SystemExit(f"{command[0]} does not listen on port {port} after ten seconds")


def servers(folder, daemon):
    """Each with what it is called, what it speaks, its port and its command."""
    ours, mqtt, nats = free_port(), free_port(), free_port()
    os.makedirs(f"{folder}/etc/cloud-channel")
    with open(f"{folder}/etc/cloud-channel/config.yaml", "w") as config:
        config.write("limits: {sessions: 20000}\n")
    with open(f"{folder}/mosquitto.conf", "w") as config:
        config.write(f"listener {mqtt} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\nmax_queued_messages 0\n")
    listen = f"ws://127.0.0.1:{ours}/events"
    run = [daemon, "run", "--dev", "--root", folder, "--instance-id", "i-bench", "--listen", listen]
    yield "daemon", [Bayeux], ours, run
    yield "mosquitto", [AcknowledgedMqtt, Mqtt], mqtt, ["mosquitto", "-c", f"{folder}/mosquitto.conf"]
    yield "nats-server", [Nats], nats, ["nats-server", "-a", "127.0.0.1", "-p", str(nats)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--daemon", default="target/release/cloud-channel")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    arguments = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as folder:
        running = []
        try:
            for name, speakers, port, command in servers(folder, arguments.daemon):
                if shutil.which(command[0]) is None:
                    print(f"{name}: there is no `{command[0]}`; passed over")
                    continue
                process = start(command, port)
                running += [(name, speaker, port, process) for speaker in speakers]
            for workload, sessions in [("fan-in", 1000), ("targeted", 5000), ("targeted", 1)]:
                for in_flight in [1, 64]:
                    compare(running, workload, sessions, in_flight, arguments)
        finally:
            for process in {process for _, _, _, process in running}:
                process.terminate()
                process.wait()


def compare(running, workload, sessions, in_flight, arguments):
    """Measures everybody in turn, and prints what each takes and the daemon's ratio to it."""
    took = {}
    for _ in range(arguments.rounds):
        for name, speaker, port, process in running:
            label = name + (f", QoS {speaker.qos}" if issubclass(speaker, Mqtt) else "")
            load = Load(speaker, port, workload, sessions)
            took.setdefault(label, []).append(load.measure(process.pid, in_flight, arguments.seconds))
            for stream in load.streams.values():
                stream.close()
    ours = took.get("daemon", [])
    print(f"{workload}, {sessions} sessions, {in_flight} in flight: CPU seconds for a million deliveries")
    for label, seconds in took.items():
        ratios = [one / other for one, other in zip(ours, seconds)]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})" if ratios else "-"
        print(f"  {label:<18} {statistics.median(seconds):6.1f}   daemon / this: {spread}", flush=True)


if __name__ == "__main__":
    main()
