"""On the host: the line to the agent in the guest.

    line.py serve PORT SOCKET          holds the line (PORT is QEMU's socket) for any number of commands at a time
    line.py ask SOCKET COMMAND…        runs a command in the guest, with this standard input, output and exit code

What a boot leaves unanswered ends with exit code 255."""

import asyncio
import json
import sys

LARGEST = 64 << 20


async def serve(port, path):
    from_guest, to_guest = await asyncio.open_unix_connection(port, limit=LARGEST)
    waiting = {}
    last = 0

    async def client(reader, writer):
        nonlocal last
        request = json.loads(await reader.readline())
        last += 1
        number = last
        waiting[number] = asyncio.get_running_loop().create_future()
        to_guest.write(json.dumps({"id": number, **request}).encode() + b"\n")
        answer = await waiting[number]
        del waiting[number]
        writer.write(json.dumps(answer).encode() + b"\n")
        writer.close()

    await asyncio.start_unix_server(client, path, limit=LARGEST)
    while line := await from_guest.readline():
        message = json.loads(line)
        if "boot" in message:
            lost = {"code": 255, "stdout": "", "stderr": "the machine was started again\n"}
            answered = list(waiting)
        else:
            lost, answered = message, [message["id"]]
        for number in answered:
            if number in waiting and not waiting[number].done():
                waiting[number].set_result(lost)


async def ask(path, argv):
    reader, writer = await asyncio.open_unix_connection(path, limit=LARGEST)
    writer.write(json.dumps({"argv": argv, "stdin": sys.stdin.read()}).encode() + b"\n")
    answer = json.loads(await reader.readline())
    sys.stdout.write(answer["stdout"])
    sys.stderr.write(answer["stderr"])
    return answer["code"]


if sys.argv[1] == "serve":
    asyncio.run(serve(*sys.argv[2:]))
else:
    sys.exit(asyncio.run(ask(sys.argv[2], sys.argv[3:])))
