"""In the guest: runs what the host asks for over the virtio-serial port `lab`, each command in a thread of its own.

A request is a line of JSON, {"id", "argv", "stdin"}; its answer {"id", "code", "stdout", "stderr"}. {"boot": id} is said first,
so that the host knows which requests nobody will answer any more."""

import json
import os
import subprocess
import threading

PORT = "/dev/virtio-ports/lab"
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}

turn = threading.Lock()


def say(port, message):
    line = json.dumps(message).encode() + b"\n"
    with turn:
        while line:
            line = line[os.write(port, line):]


def work(port, request):
    argv = request["argv"]
    try:
        ended = subprocess.run(argv, input=request["stdin"], capture_output=True, text=True, errors="replace", env=ENVIRONMENT)
        answer = {"code": ended.returncode, "stdout": ended.stdout, "stderr": ended.stderr}
    except OSError as error:
        answer = {"code": 127, "stdout": "", "stderr": f"{argv[0]}: {error.strerror}\n"}
    say(port, {"id": request["id"], **answer})


port = os.open(PORT, os.O_RDWR)
with open("/proc/sys/kernel/random/boot_id") as file:
    say(port, {"boot": file.read().strip()})
with os.fdopen(port, "rb", buffering=0, closefd=False) as requests:
    rest = b""
    while True:
        piece = requests.read(65536)
        if not piece:
            raise SystemExit("the host has hung up")
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            threading.Thread(target=work, args=(port, json.loads(line)), daemon=True).start()
