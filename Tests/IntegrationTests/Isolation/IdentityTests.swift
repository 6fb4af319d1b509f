import CLinux
import Glibc
import LinuxSystem
import OCISpec
import Testing

extension Integration {
    /// Users, names, variables, volumes: what of the image and the command line a process in a container gets.
    @Suite(.enabled(if: TestMachine.isNative, "\(TestMachine.needs); runs natively"))
    struct IdentityTests {
        private func inside(_ options: [String] = [], _ script: String) throws -> Program.Outcome {
            let image = try TestImage.shared()
            return try TestHost.with { host throws in try host.shell(image.reference, options, script) }
        }

        @Test("root inside is nobody outside, unless the host's users are asked for")
        func userNamespace() throws {
            let image = try TestImage.shared()
            try TestHost.with { host throws in
                try host.succeed("start", "--name", "hello", "-p", "127.0.0.1:0:8000", image.reference)
                #expect(try host.succeed("exec", "hello", "id", "-u").lines == ["0"])
                let map = try host.succeed("exec", "hello", "cat", "/proc/self/uid_map").output.split(
                    whereSeparator: \.isWhitespace)
                #expect(map.count == 3 && map[0] == "0" && (Int(map[1]) ?? 0) >= 65536 && map[2] == "65536")
                let outside = try File.status("/proc/\(try host.replicaPID(of: "hello"))")
                #expect(outside.uid == (UInt32(map[1]) ?? 0))
            }
            let hosts = try inside(["--userns", "host"], "cat /proc/self/uid_map")
            #expect(hosts.output.split(whereSeparator: \.isWhitespace) == ["0", "0", "4294967295"], "\(hosts)")
        }

        @Test("a user by name has the image's ids, groups and home")
        func userByName() throws {
            let named = try inside(
                ["--user", "server"], "id -u; id -g; id -G; echo $HOME; touch /tmp/mine && stat -c %u:%g /tmp/mine")
            #expect(
                named.lines == ["1000", "1000", "1000 29 2000", "/srv", "1000:1000"]
                    || named.lines == ["1000", "1000", "1000 2000 29", "/srv", "1000:1000"], "\(named)")
            let numbered = try inside(["--user", "1234:5678"], "id -u; id -g; id -G")
            #expect(numbered.lines == ["1234", "5678", "5678"], "\(numbered)")
            let mixed = try inside(["--user", "server:audio"], "id -u; id -g")
            #expect(mixed.lines == ["1000", "29"], "\(mixed)")
            let nobody = try inside(["--user", "nobody-here"], "id")
            #expect(nobody.status == 125 && nobody.errors.contains("nobody-here"), "\(nobody)")
        }

        @Test("the image's user is used when no other is asked for")
        func imageUser() throws {
            let image = try TestImage(configuration: ["User": "server", "Entrypoint": ["sh", "-c"], "Cmd": ["id -un"]])
            try TestHost.with { host throws in
                #expect(try host.succeed("run", "--rm", "--quiet", image.reference).lines == ["server"])
                #expect(
                    try host.succeed("run", "--rm", "--quiet", image.reference, "echo argument").lines == ["argument"])
                #expect(
                    try host.succeed("run", "--rm", "--quiet", "--entrypoint", "echo", image.reference, "replaced")
                        .lines
                        == ["replaced"])
            }
        }

        @Test("variables, working directory and host name are the image's or as asked")
        func environment() throws {
            let file = try TestDirectory()
            let variables = try file.write("variables", "# a comment\nFROM_FILE=a b\nGREETING=from the file\n")
            let image = try TestImage.shared()
            try TestHost.with { host throws in
                let standard = try host.shell(image.reference, "pwd; echo $GREETING; echo ${PORT:-none}")
                #expect(standard.lines == ["/srv", "from the image", "8000"], "\(standard)")
                let changed = try host.mlrun(
                    [
                        "run", "--rm", "--quiet", "--env-file", variables, "-e", "X=1", "-e", "OWN", "--workdir",
                        "/data", "--hostname", "model", image.reference,
                    ]
                        + [
                            "sh", "-c",
                            "pwd; hostname; cat /etc/hostname; echo $GREETING; echo $FROM_FILE; echo $X $OWN",
                        ],
                    environment: ["OWN": "passed on"])
                #expect(
                    changed.lines == ["/data", "model", "model", "from the file", "a b", "1 passed on"], "\(changed)")
                let hidden = try host.mlrun(
                    ["run", "--rm", "--quiet", image.reference, "env"], environment: ["HOST_SECRET": "1"])
                #expect(!hidden.output.contains("HOST_SECRET"))
                #expect(!hidden.output.contains("MLRUN_"))
            }
        }

        @Test("/dev/shm has the size asked for, and at least 64 MiB")
        func sharedMemory() throws {
            let standard = try inside([], "df -k /dev/shm | tail -1; touch /dev/shm/x && echo writable")
            let size = standard.lines.first?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) }
            #expect((size ?? 0) >= 65536, "\(standard)")
            #expect(standard.lines.last == "writable")
            let asked = try inside(["--shm-size", "128M"], "df -k /dev/shm | tail -1")
            #expect(asked.output.split(whereSeparator: \.isWhitespace).dropFirst().first == "131072", "\(asked)")
        }

        @Test("files in a volume keep their owners, both ways")
        func volumes() throws {
            let volume = try TestDirectory()
            let mine = try volume.write("mine", "of root\n")
            let theirs = try volume.write("theirs", "of 1000\n")
            #expect(chown(theirs, 1000, 1000) == 0)
            let seen = try inside(
                ["-v", "\(volume.path):/data"],
                "stat -c '%n %u' /data/mine /data/theirs; echo new > /data/new; touch /data/given; chown 1000 /data/given; cat /data/mine"
            )
            #expect(seen.lines == ["/data/mine 0", "/data/theirs 1000", "of root"], "\(seen)")
            #expect(try File.readText("\(volume.path)/new") == "new\n")
            #expect(try File.status("\(volume.path)/new").uid == 0)
            #expect(try File.status("\(volume.path)/given").uid == 1000)
            #expect(try File.readText(mine) == "of root\n")
            let readOnly = try inside(["-v", "\(volume.path):/data:ro"], "cat /data/mine; touch /data/more")
            #expect(readOnly.lines == ["of root"])
            #expect(readOnly.status != 0 && readOnly.errors.contains("Read-only file system"), "\(readOnly)")
            let missing = try inside(["-v", "\(volume.path)/none:/data"], "true")
            #expect(missing.status == 125 && missing.errors.contains("\(volume.path)/none"), "\(missing)")
        }

        @Test("a read-only root can't be written, but /tmp can; otherwise what is written goes with the container")
        func readOnlyRoot() throws {
            let seen = try inside(["--read-only"], "touch /data/x; echo rc $?; touch /tmp/x && echo tmp")
            #expect(seen.lines == ["rc 1", "tmp"], "\(seen)")
            let image = try TestImage.shared()
            try TestHost.with { host throws in
                #expect(try host.shell(image.reference, "touch /data/x && ls /data").lines == ["x"])
                #expect(try host.shell(image.reference, "ls /data").lines.isEmpty)
                #expect(
                    try host.shell(image.reference, ["--tmpfs", "/data:size=1M"], "df -k /data | tail -1").output
                        .contains("1024"))
            }
        }

        @Test("ulimits are as asked")
        func ulimits() throws {
            let seen = try inside(
                ["--ulimit", "nofile=100:200", "--ulimit", "core=0"], "ulimit -Sn; ulimit -Hn; ulimit -c")
            #expect(seen.lines == ["100", "200", "0"], "\(seen)")
        }
    }
}
