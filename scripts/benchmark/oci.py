"""OCI runtimes beside each other on one bundle: how long each verb takes, its memory and its system calls."""

import json
import os
import re
import shutil
import statistics
import subprocess
import time

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
            self.note("run, %d masked paths" % MANY_MASKS, tool, tool("run", "--bundle", self.masked, container))
            self.note("a bare static program", self.bare, Timed(["/bin/busybox", "true"]))
        self.with_many_mounts()

    def with_many_mounts(self):
        place = self.work + "/oci-mounts"
        os.makedirs(place)
        run("mount", "-t", "tmpfs", "tmpfs", place)
        for number in range(MANY_MOUNTS):
            os.mkdir("%s/%d" % (place, number))
        # One process for all: mount(8) for each would take minutes.
        script = "import ctypes\nlibc = ctypes.CDLL(None)\nfor n in range(%d):\n    p = b'%s/%%d' %% n\n    assert libc.mount(p, p, None, 4096, None) == 0" % (MANY_MOUNTS, place)
        run("python3", "-c", script)
        try:
            for number, tool in enumerate(turns(self.tools, max(3, self.rounds // 5))):
                self.note("run, %d mounts of the host" % MANY_MOUNTS, tool, tool("run", "--bundle", self.short, "m%d" % number))
        finally:
            run("umount", "-l", place)

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
