"""The images that pulls are measured with, each under a name that follows from what it is made of, in a registry that stays.

small    busybox in two layers
server   a real Python model server of about 10,000 entries and 125 MB (scripts/model-image/build with further wheels)
ten      busybox and nine small layers
weights  noise, which no compression makes smaller, in one layer, beside busybox and 20,000 small files
"""

import gzip
import hashlib
import io
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from benchmark.common import Failure, HERE, cache, run

WHEELS = "scipy scikit-learn pandas sympy mpmath transformers tokenizers".split()
LAYER = "application/vnd.oci.image.layer.v1.tar+"
MAKING = {"gzip": ["gzip", "-6", "-n"], "zstd": ["zstd", "-q", "-3"], "gzip-noise": ["gzip", "-1", "-n"], "zstd-noise": ["zstd", "-q", "-1"]}
EPOCH = 1700000000


class Layout:
    """An OCI layout in the making."""

    def __init__(self, path):
        self.path = path
        self.layers, self.diff_ids = [], []
        os.makedirs(path + "/blobs/sha256")

    def blob(self, data):
        name = hashlib.sha256(data).hexdigest()
        with open(self.path + "/blobs/sha256/" + name, "wb") as file:
            file.write(data)
        return {"digest": "sha256:" + name, "size": len(data)}

    def layer(self, fill, compression, making):
        """`fill` writes a tar archive into a stream; it is compressed and hashed on the way."""
        unnamed = self.path + "/layer"
        with open(unnamed, "wb") as file:
            program = subprocess.Popen(MAKING[making], stdin=subprocess.PIPE, stdout=file)
            sink = Hashing(program.stdin)
            with tarfile.open(fileobj=sink, mode="w|", format=tarfile.PAX_FORMAT, bufsize=1 << 20) as archive:
                fill(archive)
            program.stdin.close()
            if program.wait() != 0:
                raise Failure("%s failed" % MAKING[making][0])
        with open(unnamed, "rb") as file:
            name = hashlib.file_digest(file, "sha256").hexdigest()
        os.rename(unnamed, self.path + "/blobs/sha256/" + name)
        size = os.path.getsize(self.path + "/blobs/sha256/" + name)
        self.layers.append({"mediaType": LAYER + compression, "digest": "sha256:" + name, "size": size})
        self.diff_ids.append("sha256:" + sink.hash.hexdigest())

    def finish(self):
        configuration = {
            "architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/sleep", "1000"], "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": self.diff_ids},
        }
        kind = "application/vnd.oci.image.manifest.v1+json"
        config = dict(self.blob(json.dumps(configuration).encode()), mediaType="application/vnd.oci.image.config.v1+json")
        manifest = {"schemaVersion": 2, "mediaType": kind, "config": config, "layers": self.layers}
        entry = dict(self.blob(json.dumps(manifest).encode()), mediaType=kind, annotations={"org.opencontainers.image.ref.name": "v1"})
        with open(self.path + "/index.json", "w") as file:
            json.dump({"schemaVersion": 2, "manifests": [entry]}, file)
        with open(self.path + "/oci-layout", "w") as file:
            file.write('{"imageLayoutVersion":"1.0.0"}')
        return "oci:%s:v1" % self.path


class Hashing:
    def __init__(self, stream):
        self.stream, self.hash = stream, hashlib.sha256()

    def write(self, data):
        self.hash.update(data)
        self.stream.write(data)
        return len(data)


class Noise(io.RawIOBase):
    """The same unpredictable bytes each time."""

    def __init__(self, size):
        self.random, self.left, self.piece = random.Random(3), size, b""

    def readable(self):
        return True

    def readinto(self, buffer):
        if not self.piece:
            self.piece = self.random.randbytes(min(1 << 20, self.left))
            self.left -= len(self.piece)
        count = min(len(buffer), len(self.piece))
        buffer[:count] = self.piece[:count]
        self.piece = self.piece[count:]
        return count


def member(name, size=0, kind=tarfile.REGTYPE, mode=0o644):
    info = tarfile.TarInfo(name)
    info.size, info.type, info.mode, info.mtime = size, kind, mode, EPOCH
    return info


def add_busybox(archive):
    program = shutil.which("busybox")
    archive.addfile(member("bin", kind=tarfile.DIRTYPE, mode=0o755))
    with open(program, "rb") as file:
        archive.addfile(member("bin/busybox", os.path.getsize(program), mode=0o755), file)
    for applet in ("sh", "true", "echo", "cat", "ls", "sleep"):
        link = member("bin/" + applet, kind=tarfile.SYMTYPE, mode=0o777)
        link.linkname = "busybox"
        archive.addfile(link)


def add_small_files(archive):
    """20,000 files of 5.9 KB on average whose text repeats as that of programs does."""
    dice = random.Random(1)
    words = [dice.randbytes(dice.randint(2, 9)).hex().encode() for _ in range(4000)]
    for directory in range(200):
        archive.addfile(member("files/%03d" % directory, kind=tarfile.DIRTYPE, mode=0o755))
        for number in range(100):
            size = min(60000, int(dice.expovariate(1 / 5900)))
            text = b" ".join(dice.choices(words, k=size // 11 + 1))[:size]
            archive.addfile(member("files/%03d/%02d.py" % (directory, number), len(text)), io.BytesIO(text))


def make_small(path, compression):
    layout = Layout(path)
    layout.layer(add_busybox, compression, compression)

    def fill(archive):
        # What busybox's two megabytes leave of five.
        archive.addfile(member("data", 3 << 20), io.BufferedReader(Noise(3 << 20)))

    layout.layer(fill, compression, compression)
    return layout.finish()


def make_weights(path, compression, size):
    layout = Layout(path)
    layout.layer(add_busybox, compression, compression)
    layout.layer(add_small_files, compression, compression)

    def fill(archive):
        archive.addfile(member("models", kind=tarfile.DIRTYPE, mode=0o755))
        archive.addfile(member("models/weights.safetensors", size), io.BufferedReader(Noise(size), 1 << 20))

    layout.layer(fill, compression, compression + "-noise")
    return layout.finish()


def make_ten(path, compression):
    """Busybox below nine layers of a file each."""
    layout = Layout(path)
    layout.layer(add_busybox, compression, compression)
    for number in range(9):
        layout.layer(lambda archive, number=number: archive.addfile(member("file-%d" % number, 9), io.BytesIO(b"content %d" % number)), compression, compression)
    return layout.finish()


def make_server(path, compression):
    archive = os.environ.get("MLRUN_BENCH_SERVER_IMAGE") or os.path.join(cache(), "bench-server.oci")
    if not os.path.exists(archive):
        run(os.path.join(HERE, "scripts", "model-image", "build"), archive, *WHEELS)
    if compression == "gzip":
        return "oci-archive:" + archive
    layout = Layout(path)
    with tempfile.TemporaryDirectory(dir=os.path.dirname(path)) as opened:
        run("tar", "-xf", archive, "-C", opened)

        def read(entry):
            with open(opened + "/blobs/" + entry["digest"].replace(":", "/"), "rb") as file:
                return file.read()

        with open(opened + "/index.json") as file:
            manifest = json.loads(read(json.load(file)["manifests"][0]))
        for entry in manifest["layers"]:
            with tarfile.open(fileobj=io.BytesIO(gzip.decompress(read(entry)))) as source:
                def fill(target, source=source):
                    for info in source:
                        target.addfile(info, source.extractfile(info) if info.isreg() else None)
                layout.layer(fill, compression, compression)
    return layout.finish()


def version(name):
    """The tag of an image: another one whenever it is made differently."""
    if name != "server":
        return "v1"
    with open(os.path.join(HERE, "scripts", "model-image", "build"), "rb") as file:
        return hashlib.sha256(file.read() + " ".join(WHEELS).encode()).hexdigest()[:12]


def main(what, name, path=None, compression=None, size="0"):
    if what == "version":
        return print(version(name))
    makers = {"small": make_small, "server": make_server, "weights": make_weights, "ten": make_ten}
    print(makers[name](path, compression, *([int(size)] if name == "weights" else [])))


if __name__ == "__main__":
    main(*sys.argv[1:])
