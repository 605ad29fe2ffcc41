"""Processes that a measurement starts: begun, watched, ended in order. Every step has a deadline."""

import contextlib
import json
import os
import pathlib
import random
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

# Longest that a grid may take to be ready.
READY_SECONDS = 180
# Where ports for listeners are looked for: Linux gives those from 32768 on to connections.
PORTS = (20_000, 32_000)
PORTS_TRIED = 200
# What a process gets to end in order before it is killed.
STOP_SECONDS = 15
# What is written to see how fast a plain program writes files just then: little, so that what follows finds the machine as it was.
PLAIN_BYTES = 128 << 20
# Where the moment of its start stands among the facts of a process, in ticks since the start of the system.
BEGUN = 19


class Run:
    """One run: its directory, and the processes that it started."""

    def __init__(self, options, directory):
        self.options = options
        self.directory = directory
        self.processes = []

    def start(self, name, command):
        log = open(self.directory / f"{name}.log", "ab")
        with log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.processes.append((name, process))
        return process

    def check(self):
        """Nothing that was started may have ended by itself."""
        for name, process in self.processes:
            if process.poll() is not None:
                sys.exit(f"{name} ended with {process.returncode}; {last_lines(self.directory / f'{name}.log')}")

    def stop(self):
        started = with_descendants(process.pid for _, process in self.processes if process.poll() is None)
        for _, process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + STOP_SECONDS
        for name, process in self.processes:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                print(f"{name} did not stop and is killed", file=sys.stderr)
                process.kill()
                process.wait()
        # Some do not take those along that they started themselves.
        for pid, begun in started.items():
            with contextlib.suppress(OSError):
                if facts_of(pid)[BEGUN] == begun:
                    os.kill(pid, signal.SIGKILL)
        self.processes.clear()

    def until(self, what, probe, every_seconds=0.2):
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            self.check()
            # Whoever does not listen yet is asked again; the deadline is what ends it.
            with contextlib.suppress(OSError, ValueError):
                if probe():
                    return
            time.sleep(every_seconds)
        sys.exit(f"{what} did not happen within {READY_SECONDS} s; the logs are in {self.directory} with --keep")


def cluster(run, name, *more):
    """A cluster of Truckee; gives what its cluster.json says, and the options that let `truckee load` see its processes."""
    place = run.directory / name
    run.start(name, [run.options.truckee, "up", "--dir", place, "--gateway", "127.0.0.1:0", *more])
    file = place / "cluster.json"
    run.until(f"the start of {name}", file.exists, every_seconds=0.01)
    return json.loads(file.read_text()), ["--cluster", str(place)]


def cpu_seconds(pids):
    """CPU seconds of all threads that these processes have and had."""
    ticks = 0
    for pid in pids:
        # One that ended meanwhile is not counted; whoever measures looks whether what was started still runs.
        with contextlib.suppress(OSError):
            facts = facts_of(pid)
            ticks += int(facts[11]) + int(facts[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def with_descendants(pids):
    """These processes and all that they started, each with the moment of its start: a number may come again, both together not."""
    parents, begun = {}, {}
    for place in pathlib.Path("/proc").glob("[0-9]*"):
        # A process that ended meanwhile has nothing to tell.
        with contextlib.suppress(OSError):
            pid, facts = int(place.name), facts_of(place.name)
            parents[pid], begun[pid] = int(facts[1]), facts[BEGUN]
    found, new = set(), set(pids)
    while new:
        found |= new
        new = {pid for pid, parent in parents.items() if parent in new} - found
    return {pid: begun[pid] for pid in found if pid in begun}


def facts_of(pid):
    """What the system tells of a process behind its name, which may hold anything: the state, the parent, …"""
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def plain_writing_ns(directory):
    """Nanoseconds for each byte that a plain program takes to write a new file without a sync, all of it in the system's memory.

    It tells in which state the machine is: on virtual machines whose host takes free memory back, memory that was free for a while costs
    several times what memory in use costs, for every program alike.
    """
    place, piece = directory / "plain", os.urandom(1 << 17)
    begun = time.monotonic()
    with open(place, "wb", buffering=0) as file:
        for _ in range(PLAIN_BYTES // len(piece)):
            file.write(piece)
    took = time.monotonic() - begun
    place.unlink()
    os.sync()
    return 1e9 * took / PLAIN_BYTES


@contextlib.contextmanager
def working_directory(options):
    """A directory for the run, which goes with all that is in it unless it is to be kept."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="truckee-compare-", dir=options.dir))
    try:
        yield directory
    finally:
        if options.keep:
            print(f"the logs are in {directory}", file=sys.stderr)
        else:
            shutil.rmtree(directory)


def to_the_end(main):
    """Runs it; an interrupt or a request to end goes through every `finally`, so that nothing is left running."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("asked to end"))
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted")


def last_lines(path):
    return " | ".join(path.read_text(errors="replace").strip().splitlines()[-3:]) or "its log is empty"


def free_ports(count):
    """Ports that are free now, below those that the system gives to connections of its own, which could be taken before they are used."""
    with contextlib.ExitStack() as held:
        ports = []
        for port in random.sample(range(*PORTS), PORTS_TRIED):
            one = held.enter_context(socket.socket())
            # Held until all are found, so that none comes twice.
            with contextlib.suppress(OSError):
                one.bind(("127.0.0.1", port))
                ports.append(port)
            if len(ports) == count:
                return ports
    sys.exit(f"of {PORTS_TRIED} ports tried between {PORTS[0]} and {PORTS[1]} not {count} are free")


def page(url):
    # No proxy of the environment stands between two ends of the loopback interface.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=10) as answer:
        return answer.read().decode()


def called(command, seconds):
    """Output of a command that has to go well within its time."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        sys.exit(f"not done within {seconds} s: {shlex.join(map(str, command))}")
    if done.returncode != 0:
        sys.exit(f"{shlex.join(map(str, command))} ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    return done.stdout
