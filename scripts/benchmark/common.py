"""What all measurements need: commands, their cost, and ports."""

import os
import re
import socket
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAMS = os.environ.get("MLRUN_BENCH_PROGRAMS", os.path.join(HERE, "dist", "bin"))
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}


class Failure(Exception):
    pass


def cache():
    path = os.environ.get("MLRUN_CACHE") or os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "mlrun")
    os.makedirs(path, exist_ok=True)
    return path


def run(*command, **options):
    """A command that must succeed; its output."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
    if done.returncode != 0:
        raise Failure("%s: status %d\n%s%s" % (" ".join(command), done.returncode, done.stdout, done.stderr))
    return done.stdout


def wait_for(what, condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failure("%s did not happen within %d s" % (what, seconds))
        time.sleep(0.02)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def written(pid="self"):
    """Bytes that a process and the children it has waited for gave to disks, through the page cache or past it."""
    with open("/proc/%s/io" % pid) as file:
        fields = dict(re.findall(r"(\w+): (\d+)", file.read()))
    return int(fields["write_bytes"]) - int(fields["cancelled_write_bytes"])


class Measured:
    """One command: seconds until its first byte of output and until its end, and what it and its children took: processor
    seconds, peak memory in MiB of the largest of them, bytes written."""

    def __init__(self, command, environment=None):
        with tempfile.TemporaryFile(dir="/dev/shm") as errors:
            before = written()
            began = time.monotonic()
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, env=environment)
            first = child.stdout.read(1)
            self.first = time.monotonic() - began
            child.stdout.read()
            _, status, usage = os.wait4(child.pid, 0)
            self.wall = time.monotonic() - began
            self.written = written() - before
            child.returncode = os.waitstatus_to_exitcode(status)
            child.stdout.close()
            if child.returncode != 0:
                errors.seek(0)
                raise Failure("%s: status %d\n%s" % (" ".join(command), child.returncode, errors.read().decode(errors="replace")))
        self.answered = bool(first)
        self.cpu = usage.ru_utime + usage.ru_stime
        self.peak = usage.ru_maxrss / 1024

    def __add__(self, other):
        """One after the other."""
        for name in ("wall", "cpu", "written"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.peak = max(self.peak, other.peak)
        return self
