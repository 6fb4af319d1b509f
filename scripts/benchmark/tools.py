"""mlrun and what it is measured beside: each pulls an image into an empty store and starts it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile

from benchmark.common import HERE, PROGRAMS, QUIET, Failure, Measured, free_port, answers, cache, run, wait_for, written

MAKER = os.path.join(HERE, "scripts", "benchmark", "images.py")


class MLRun:
    name = "mlrun"

    def __init__(self, work):
        self.root = os.path.join(work, "mlrun")
        self.environment = dict(os.environ, MLRUN_ROOT=self.root, MLRUN_STATE=os.path.join(work, "mlrun-state"))
        self.program = os.path.join(PROGRAMS, "mlrun")

    def version(self):
        return run(self.program, "version").strip()

    def pull(self, image):
        return Measured([self.program, "pull", "--quiet", image], self.environment)

    def empty(self):
        shutil.rmtree(self.root, ignore_errors=True)

    def remove(self, image):
        return Measured([self.program, "rmi", image], self.environment)

    def start(self, image):
        return Measured([self.program, "run", "--rm", "--quiet", image, "sh", "-c", "echo x"], self.environment)

    def close(self):
        subprocess.run([self.program, "shutdown", "--stop-services"], env=self.environment, **QUIET)


class Podman:
    name = "podman"

    def __init__(self, work):
        self.command = ["podman", "--root", work + "/podman", "--runroot", work + "/podman-run", "--tmpdir", work + "/podman-tmp"]
        # What podman would set by itself cannot be had without CAP_SYS_RESOURCE; lower limits always can.
        self.limits = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=4096:4096"]
        self.command += ["--storage-driver", "overlay", "--cgroup-manager", "cgroupfs", "--events-backend", "none", "--runtime", "crun"]

    def version(self):
        return run("podman", "--version").strip() + ", " + run("crun", "--version").splitlines()[0]

    def pull(self, image):
        return Measured(self.command + ["pull", "--quiet", "--tls-verify=false", image])

    def remove(self, image):
        return Measured(self.command + ["rmi", image])

    def empty(self):
        run(*self.command, "rmi", "--all", "--force")

    def start(self, image):
        options = ["--rm", "--pull=never", "--network=none", "--cgroups=disabled", "--entrypoint", ""]
        return Measured(self.command + ["run"] + options + self.limits + [image, "sh", "-c", "echo x"])

    def close(self):
        run(*self.command, "rm", "--all", "--force")


class Containerd:
    name = "ctr"

    def __init__(self, work):
        self.address = work + "/containerd.sock"
        configuration = work + "/containerd.toml"
        with open(configuration, "w") as file:
            file.write('version = 2\nroot = "%s/containerd"\nstate = "%s/containerd-state"\n' % (work, work))
            file.write('disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "%s"\n' % self.address)
        self.log = open(work + "/containerd.log", "w")
        self.server = subprocess.Popen(["containerd", "--config", configuration], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.command = ["ctr", "--address", self.address]
        self.count = 0
        wait_for("containerd's socket", lambda: subprocess.run(self.command + ["version"], **QUIET).returncode == 0)

    def version(self):
        return " ".join(run("containerd", "--version").split()[:3]) + ", " + run("runc", "--version").splitlines()[0]

    def usage(self):
        """Processor seconds of the daemon and the children it has waited for."""
        with open("/proc/%d/stat" % self.server.pid) as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")

    def measured(self, *command):
        with open("/proc/%d/clear_refs" % self.server.pid, "w") as file:
            file.write("5")  # its peak counts from now on
        before, wrote = self.usage(), written(self.server.pid)
        measured = Measured(self.command + list(command))
        measured.cpu += self.usage() - before
        measured.written += written(self.server.pid) - wrote
        with open("/proc/%d/status" % self.server.pid) as file:
            peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM:")) / 1024
        measured.peak = max(measured.peak, peak)
        return measured

    def pull(self, image):
        return self.measured("images", "pull", "--plain-http", image)

    def remove(self, image):
        return self.measured("images", "rm", "--sync", image)

    def empty(self):
        for image in run(*self.command, "images", "ls", "-q").split():
            run(*self.command, "images", "rm", "--sync", image)

    def start(self, image):
        self.count += 1
        return Measured(self.command + ["run", "--rm", "--cpu-shares", "0", image, "bench-%d" % self.count, "sh", "-c", "echo x"])

    def close(self):
        self.server.send_signal(signal.SIGTERM)
        self.server.wait(30)
        self.log.close()


class Umoci:
    """skopeo copies into a layout, umoci unpacks that."""

    name = "skopeo+umoci"

    def __init__(self, work):
        self.layout, self.bundle = work + "/umoci-layout", work + "/umoci-bundle"

    def version(self):
        return ", ".join(run(name, "--version").splitlines()[0] for name in ("skopeo", "umoci"))

    def can_pull(self, image):
        return image.compression == "gzip"  # umoci 0.4.7 knows no zstd

    def pull(self, image):
        target = "oci:%s:v1" % self.layout
        copied = Measured(["skopeo", "--insecure-policy", "copy", "--quiet", "--src-tls-verify=false", "docker://" + image, target])
        return copied + Measured(["umoci", "unpack", "--image", self.layout + ":v1", self.bundle])

    def empty(self):
        for path in (self.layout, self.bundle):
            shutil.rmtree(path, ignore_errors=True)

    def close(self):
        self.empty()


class Tar:
    """No engine at all: tar and the fastest decompressor unpack the registry's own files, one after the other, without
    network, digests or durability."""

    name = "tar"

    def __init__(self, work):
        self.directory = work + "/tar"

    def version(self):
        return run("tar", "--version").splitlines()[0]

    def pull(self, image):
        os.makedirs(self.directory)
        program = {"gzip": "igzip", "zstd": "zstd"}[image.compression]
        done = [Measured(["tar", "-I", program, "-xf", path, "-C", self.directory]) for path in image.files()]
        total = done[0]
        for one in done[1:]:
            total = total + one
        return total

    def empty(self):
        shutil.rmtree(self.directory, ignore_errors=True)

    def close(self):
        self.empty()


class Floor:
    """What this machine takes at least: benchmark/floor.c receives, hashes, inflates and writes the same blobs."""

    name = "floor"

    def __init__(self, work):
        self.directory, self.program = work + "/floor", work + "/floor-program"
        run("cc", "-O2", "-o", self.program, os.path.join(HERE, "scripts", "benchmark", "floor.c"), "-lisal", "-lzstd", "-lcrypto", "-lpthread")

    def version(self):
        return "floor"

    def pull(self, image):
        os.makedirs(self.directory)
        return Measured([self.program, "127.0.0.1", str(image.port), self.directory, image.compression] + image.blob_paths())

    def empty(self):
        shutil.rmtree(self.directory, ignore_errors=True)

    def close(self):
        self.empty()


class Image(str):
    """A reference, and what is known of the image."""

    @classmethod
    def of(cls, registry, name, compression, tag):
        self = cls("127.0.0.1:%d/bench/%s-%s:%s" % (registry.port, name, compression, tag))
        self.kind, self.compression, self.port = name, compression, registry.port
        self.registry, self.repository, self.tag = registry, "bench/%s-%s" % (name, compression), tag
        return self

    def layers(self):
        """Largest first."""
        manifest = json.loads(run("skopeo", "inspect", "--raw", "--tls-verify=false", "docker://" + self))
        return sorted(manifest["layers"], key=lambda layer: -layer["size"])

    def blob_paths(self):
        return ["/v2/%s/blobs/%s" % (self.repository, layer["digest"]) for layer in self.layers()]

    def files(self):
        root = self.registry.root + "/docker/registry/v2/blobs/sha256/"
        return [root + "%s/%s/data" % (hex[:2], hex) for hex in (layer["digest"][7:] for layer in reversed(self.layers()))]

    def uncompressed(self):
        """Bytes of the layers' archives."""
        program = {"gzip": "igzip", "zstd": "zstd"}[self.compression]
        return sum(int(run("sh", "-c", "%s -dc < %s | wc -c" % (program, path))) for path in self.files())


class Registry:
    """Debian's docker-registry on loopback. What it holds stays in the cache, since some images take minutes to make."""

    def __init__(self, work):
        self.port, self.root = free_port(), os.path.join(cache(), "bench-registry")
        os.makedirs(self.root, exist_ok=True)
        configuration = work + "/registry.yml"
        with open(configuration, "w") as file:
            file.write("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}}\n" % self.root)
            file.write("http: {addr: '127.0.0.1:%d'}\n" % self.port)
        self.server = subprocess.Popen(["docker-registry", "serve", configuration], **QUIET)
        wait_for("the registry's port", lambda: answers(self.port))

    def image(self, name, compression, size=0):
        """The image of that name, made if the registry does not have it; `size` is that of the weights."""
        scaled = "%s-%dm" % (name, size >> 20) if size else name
        tag = run(sys.executable, MAKER, "version", name).strip()
        image = Image.of(self, scaled, compression, tag)
        known = subprocess.run(["skopeo", "inspect", "--raw", "--tls-verify=false", "docker://" + image], **QUIET).returncode == 0
        if not known:
            # In a process of its own: its memory would count as that of every command started later.
            with tempfile.TemporaryDirectory(dir=cache()) as work:
                source = run(sys.executable, MAKER, "make", name, work + "/layout", compression, str(size)).strip()
                run("skopeo", "--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false", source, "docker://" + image)
        return image

    def close(self):
        self.server.terminate()
        self.server.wait()
