"""OCI runtimes beside each other on one bundle: how long each verb takes, its memory and its system calls."""

import ctypes
import json
import os
import re
import shutil
import socket
import statistics
import time
from types import SimpleNamespace

from benchmark.common import PROGRAMS, Failure, run, wait_for

POLICY = "/usr/share/containers/seccomp.json"
# The scratch mounts and masked paths of the two cases that make all three slower.
MANY_MOUNTS, MANY_MASKS = 5000, 256


class Timed:
    """One command of a runtime: seconds until its end. Spawned as cheaply as Python can."""

    NOWHERE = [(os.POSIX_SPAWN_OPEN, number, "/dev/null", os.O_RDWR, 0) for number in (0, 1)]

    def __init__(self, command, errors="/dev/shm/mlrun-bench-oci.err"):
        actions = self.NOWHERE + [(os.POSIX_SPAWN_OPEN, 2, errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)]
        began = time.perf_counter()
        child = os.posix_spawn(command[0], command, os.environ, file_actions=actions)
        _, status = os.waitpid(child, 0)
        self.wall = time.perf_counter() - began
        if status != 0:
            with open(errors, errors="replace") as file:
                raise Failure("%s: status %d\n%s" % (" ".join(command), os.waitstatus_to_exitcode(status), file.read()))


class Runtime:
    def __init__(self, name, command, work):
        self.name, self.program = name, command[0]
        self.state = os.path.join(work, "oci-" + re.sub(r"\W+", "-", name))
        self.command = command + ["--root", self.state]

    def __call__(self, *arguments):
        return Timed(self.command + list(arguments))

    def begin(self, container, bundle):
        self("create", "--bundle", bundle, container)
        self("start", container)

    def version(self):
        return " ".join(run(self.program, "--version").split("\n")[0].split())


def runtimes(work):
    """crun 1.8 cannot join a group without CAP_SYS_RESOURCE; mlrun-oci is measured both ways for that reason."""
    ours = os.path.join(PROGRAMS, "mlrun-oci")
    return [
        Runtime("mlrun-oci", [ours], work), Runtime("mlrun-oci, no cgroup", [ours, "--cgroup-manager=disabled"], work),
        Runtime("crun, no cgroup", ["/usr/bin/crun", "--cgroup-manager=disabled"], work), Runtime("runc", ["/usr/bin/runc"], work),
    ]


class Bundle:
    """busybox in a root file system of its own, with the configuration that `runc spec` writes and the seccomp policy of Debian's
    engines; as users have it."""

    def __init__(self, directory, arguments, change=lambda spec: None):
        self.path = directory
        rootfs = os.path.join(directory, "rootfs")
        os.makedirs(rootfs + "/bin")
        shutil.copy("/bin/busybox", rootfs + "/bin/busybox")
        for applet in ("true", "sleep", "sh"):
            os.symlink("busybox", rootfs + "/bin/" + applet)
        os.mkdir(rootfs + "/masked")
        for number in range(MANY_MASKS):
            open("%s/masked/%d" % (rootfs, number), "w").close()
        run("/usr/bin/runc", "spec", "--bundle", directory)
        with open(directory + "/config.json") as file:
            spec = json.load(file)
        spec["process"].update(terminal=False, args=arguments, rlimits=[])
        spec["linux"]["seccomp"] = policy()
        spec["linux"].pop("resources", None)
        change(spec)
        with open(directory + "/config.json", "w") as file:
            json.dump(spec, file)


def policy():
    """The policy's rules for this processor and without further capabilities, in the form of the runtime specification."""
    with open(POLICY) as file:
        source = json.load(file)
    rules = []
    for rule in source["syscalls"]:
        includes = rule.get("includes") or {}
        if includes.get("caps") or "amd64" not in includes.get("arches", ["amd64"]) or "amd64" in (rule.get("excludes") or {}).get("arches", []):
            continue
        kept = {"names": rule["names"], "action": rule["action"]}
        if rule.get("errnoRet") is not None:
            kept["errnoRet"] = rule["errnoRet"]
        if rule.get("args"):
            kept["args"] = rule["args"]
        rules.append(kept)
    return {"defaultAction": source["defaultAction"], "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"], "syscalls": rules}


def masks(spec):
    spec["linux"]["maskedPaths"] = ["/masked/%d" % number for number in range(MANY_MASKS)]


def turns(tools, rounds):
    for number in range(rounds):
        shift = number % len(tools)
        for tool in tools[shift:] + tools[:shift]:
            yield tool


class Crowd:
    """A process in a mount namespace of its own, with thousands of mounts, that runs commands: a host with many mounts beside one with few."""

    CLONE_NEWNS, MS_BIND, MS_REC, MS_PRIVATE = 0x20000, 4096, 16384, 1 << 18

    def __init__(self, place):
        os.makedirs(place)
        self.socket, end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.process = os.fork()
        if self.process == 0:
            self.socket.close()
            try:
                self.fill(place)
                end.send(b"{}")
                while request := end.recv(1 << 16):
                    end.send(json.dumps(self.answer(json.loads(request))).encode())
            except Exception as error:
                end.send(json.dumps({"error": str(error)}).encode())
            finally:
                os._exit(0)
        end.close()
        self.wait()

    def fill(self, place):
        libc = ctypes.CDLL(None, use_errno=True)

        def must(result):
            if result != 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

        must(libc.unshare(self.CLONE_NEWNS))
        must(libc.mount(None, b"/", None, self.MS_REC | self.MS_PRIVATE, None))
        must(libc.mount(b"tmpfs", place.encode(), b"tmpfs", 0, None))
        for number in range(MANY_MOUNTS):
            path = ("%s/%d" % (place, number)).encode()
            os.mkdir(path)
            must(libc.mount(path, path, None, self.MS_BIND, None))

    def answer(self, command):
        try:
            return {"wall": Timed(command).wall}
        except Failure as failure:
            return {"error": str(failure)}

    def wait(self):
        answer = json.loads(self.socket.recv(1 << 16))
        if "error" in answer:
            raise Failure(answer["error"])
        return answer

    def __call__(self, tool, *arguments):
        self.socket.send(json.dumps(tool.command + list(arguments)).encode())
        return SimpleNamespace(**self.wait())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        os.waitpid(self.process, 0)


class Measurement:
    def __init__(self, work, rounds):
        self.work, self.rounds, self.tools = work, rounds, runtimes(work)
        self.bare = Runtime("bare", ["/bin/busybox", "true"], work)
        self.idle = Bundle(work + "/oci-idle", ["/bin/sleep", "1000"]).path
        self.short = Bundle(work + "/oci-short", ["/bin/true"]).path
        self.masked = Bundle(work + "/oci-masked", ["/bin/true"], masks).path
        self.seconds = {}

    def note(self, case, tool, *timed):
        self.seconds.setdefault(case, {}).setdefault(tool.name, []).append(sum(one.wall for one in timed))

    def take(self):
        for tool in self.tools:  # once unmeasured: seccomp and other caches, and the programs' own files
            tool("run", "--bundle", self.short, "warm")
        for number, tool in enumerate(turns(self.tools, self.rounds)):
            container = "c%d" % number
            created = tool("create", "--bundle", self.idle, container)
            started = tool("start", container)
            self.note("exec of /bin/true", tool, tool("exec", container, "/bin/true"))
            self.note("state", tool, tool("state", container))
            self.note("kill", tool, tool("kill", container, "CONT"))
            deleted = tool("delete", "--force", container)
            self.note("create + start + delete --force", tool, created, started, deleted)
            self.note("delete --force", tool, deleted)
            self.note("run of /bin/true", tool, tool("run", "--bundle", self.short, container))
            self.note("a bare static program", self.bare, Timed(["/bin/busybox", "true"]))
        self.growth()

    def growth(self):
        """What masks, and mounts of the host, add to `run`. One runtime after the other: what the peers leave behind them with thousands
        of mounts would slow whoever comes next."""
        with Crowd(self.work + "/oci-mounts") as crowd:
            for tool in self.tools:
                crowd(tool, "run", "--bundle", self.short, "warm")
                for number in range(self.rounds):
                    container = "g%d" % number
                    self.note("run, one runtime at a time", tool, tool("run", "--bundle", self.short, container))
                    self.note("the same, %d masked paths" % MANY_MASKS, tool, tool("run", "--bundle", self.masked, container))
                    self.note("the same, %d mounts of the host" % MANY_MOUNTS, tool, crowd(tool, "run", "--bundle", self.short, container))

    def calls(self, tool):
        """System calls of `run` with all its children, the program itself included."""
        log = self.work + "/strace"
        run("strace", "-f", "-c", "-U", "calls,name", "-o", log, *tool.command, "run", "--bundle", self.short, "traced")
        with open(log) as file:
            return next(int(line.split()[0]) for line in file if line.split()[-1:] == ["total"])

    def peak(self, tool):
        """MiB of the largest process of `run`. By a small parent: what a child shares with Python before it is executed counts too."""
        report = self.work + "/peak"
        command = ["/usr/bin/time", "-f", "%M", "-o", report, *tool.command, "run", "--bundle", self.short, "measured"]
        peaks = []
        for _ in range(5):
            run(*command)
            with open(report) as file:
                peaks.append(int(file.read().split()[-1]) / 1024)
        return "%.1f" % max(peaks)

    def tables(self):
        def milliseconds(values):
            return "%.1f (%.1f)" % (statistics.median(values) * 1000, min(values) * 1000)

        rows = []
        for case, results in self.seconds.items():
            base = results.get("crun, no cgroup")
            for name, values in results.items():
                of = "%.2f" % (statistics.median(values) / statistics.median(base)) if base else ""
                rows.append((case, name, len(values), milliseconds(values), of))
        yield ("what", "runtime", "n", "wall, ms (min)", "of crun's"), rows
        yield ("`run` of /bin/true by", "peak memory, MiB", "system calls with those of its children"), [(tool.name, self.peak(tool), self.calls(tool)) for tool in self.tools]


def bench_oci(bench, table):
    for path in (POLICY, "/usr/bin/crun", "/usr/bin/runc", "/usr/bin/strace", "/usr/bin/time", "/bin/busybox"):
        if not os.path.exists(path):
            raise Failure("%s is not there; scripts/packages bench installs it" % path)
    measurement = Measurement(bench.work, bench.rounds)
    measurement.take()
    return "\n\n".join(table(titles, rows) for titles, rows in measurement.tables())
