"""aiocometd-ng, a client for Python's asyncio, as a driver.

`python aiocometd_driver.py URL websocket|long-polling [token=TOKEN|replay]`
"""

import asyncio
import json
import sys

from aiocometd_ng import Client, ConnectionType, Extension
from aiocometd_ng.exceptions import AiocometdException, ClientInvalidOperation, ServerError

# A batch of this many bytes may come in on standard input as one line.
LINE_BYTES = 1 << 22


def tell(line):
    """Prints one line."""
    print(json.dumps(line), flush=True)


class Recorder(Extension):
    """Tells every message as it is on the wire, and shows a token in the handshake if there is one."""

    def __init__(self, token):
        self.token = token

    async def outgoing(self, payload, headers):
        for message in payload:
            if self.token and message["channel"] == "/meta/handshake":
                message["ext"] = {"cloudinit": {"token": self.token}}
            tell({"out": message})

    async def incoming(self, payload, headers=None):
        for message in payload:
            tell({"in": message})


class Replay(Extension):
    """A subscription begins after the last number that was seen for it, or after the one it is given."""

    def __init__(self):
        self.numbers = {}

    async def outgoing(self, payload, headers):
        for message in payload:
            subscription = message.get("subscription")
            if message["channel"] == "/meta/handshake":
                message["ext"] = {**message.get("ext", {}), "replay": True}
            elif message["channel"] == "/meta/subscribe" and subscription in self.numbers:
                message["ext"] = {"replay": {subscription: self.numbers[subscription]}}

    async def incoming(self, payload, headers=None):
        for message in payload:
            number = message.get("ext", {}).get("cloudinit", {}).get("seq")
            for pattern in self.numbers if number is not None else ():
                if fits(pattern, message["channel"]):
                    self.numbers[pattern] = number


def fits(pattern, channel):
    """True if a channel is one of a pattern."""
    if pattern.endswith("/**"):
        return channel.startswith(pattern[:-2])
    return pattern in (channel, channel.rpartition("/")[0] + "/*")


class Driver:
    """Carries out commands by the methods named after them."""

    def __init__(self, url, transport, extension=""):
        recorder = Recorder(extension.removeprefix("token=") if extension.startswith("token=") else "")
        self.replay = Replay() if extension == "replay" else None
        # The last one is the nearest to the wire on the way out.
        extensions = [self.replay, recorder] if self.replay else [recorder]
        # Without a limit of its own to a lost connection: the library's one does not run on Python 3.10 or newer.
        self.client = Client(url, ConnectionType(transport), connection_timeout=None, extensions=extensions)
        self.hearing = None

    async def hear(self):
        """Tells what reaches the application. The library does not say by which subscription it came."""
        try:
            while True:
                message = await self.client.receive()
                tell({"event": {"channel": message["channel"], "data": message["data"]}})
        except ClientInvalidOperation:
            return

    async def open(self, _command):
        await self.client.open()
        self.hearing = asyncio.create_task(self.hear())

    async def subscribe(self, command):
        if "from" in command:
            self.replay.numbers[command["channel"]] = command["from"]
        await self.client.subscribe(command["channel"])

    async def unsubscribe(self, command):
        await self.client.unsubscribe(command["channel"])

    async def publish(self, command):
        await self.client.publish(command["channel"], command["data"])

    async def batch(self, command):
        """The library has no batches: the messages are sent one after another."""
        for message in command["messages"]:
            await self.publish(message)

    async def close(self, _command):
        self.hearing.cancel()
        await self.client.close()

    async def carry_out(self, command):
        """Carries one command out and tells how it went."""
        outcome = {"successful": True}
        try:
            await getattr(self, command["do"])(command)
        except ServerError as error:
            outcome = {"successful": False, "error": error.error}
        except AiocometdException as error:
            outcome = {"successful": False, "error": repr(error)}
        tell({**outcome, "re": command["n"]})


async def main():
    """Reads commands until standard input ends. They run side by side, as they do in the other drivers."""
    driver = Driver(*sys.argv[1:])
    reader = asyncio.StreamReader(limit=LINE_BYTES)
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    running = set()
    while line := await reader.readline():
        task = asyncio.create_task(driver.carry_out(json.loads(line)))
        running.add(task)
        task.add_done_callback(running.discard)


asyncio.run(main())
