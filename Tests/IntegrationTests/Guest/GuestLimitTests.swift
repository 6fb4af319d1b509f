import Glibc
import LinuxSystem
import OCISpec
import Testing

extension Integration {
    /// Limits that the kernel really enforces, in a machine whose cgroup v2 hierarchy has every controller.
    @Suite(
        .enabled(if: TestMachine.isGuest, "needs a full cgroup v2: scripts/test runs it in scripts/guest"),
        .enabled(if: TestMachine.canRun, "\(TestMachine.needs)"),
        .enabled(
            if: TestMachine.controllers.isSuperset(of: ["memory", "pids", "cpu"]),
            "needs the memory, pids and cpu controllers"))
    struct GuestLimitTests {
        @Test("Guest: a container in the foreground that needs more than --memory is killed")
        func memoryInForeground() throws {
            let image = try TestImage.shared()
            try TestHost.with { host throws in
                let within = try host.shell(
                    image.reference, ["--memory", "64M"],
                    "cat /sys/fs/cgroup/memory.max; dd if=/dev/zero bs=8388608 count=1 2>/dev/null | wc -c")
                #expect(within.lines == ["67108864", "8388608"], "\(within)")
                let above = try host.shell(
                    image.reference, ["--memory", "32M"],
                    "dd if=/dev/zero of=/dev/null bs=209715200 count=1; echo survived")
                #expect(above.status == 137, "memory.oom.group ends all of it: \(above)")
                #expect(!above.output.contains("survived"))
            }
        }

        @Test("Guest: a service that needs more than --memory is killed, and the report names the limit")
        func memoryOfService() throws {
            let image = try TestImage.shared()
            try TestHost.with { host throws in
                try host.succeed(
                    "start", "--name", "hungry", "--no-wait", "--restart", "no", "--memory", "32M", image.reference,
                    "sh", "-c",
                    "echo begins; dd if=/dev/zero of=/dev/null bs=209715200 count=1")
                #expect(try host.waitForStatus("failed", of: "hungry", within: 60))
                let details = try host.inspect("hungry")
                let cause = details["lastDeath"]?.string ?? ""
                #expect(cause.contains("memory"), "\(details.text())")
                #expect(details.text().contains("32 MiB"), "the limit is named: \(details.text())")
                #expect(details["exitCode"]?.int == 137)
                let events = try host.succeed("events", "--no-follow", "--since", "10m", "hungry").output
                #expect(events.contains("memory"), "\(events)")
                let row = try host.json("ps", "-a", "-o", "json").array?.first
                #expect(row?["lastDeath"]?.string?.contains("memory") == true, "\(row?.text() ?? "none")")
            }
        }

        @Test("Guest: swap beyond --memory is not to be had unless asked for")
        func swap() throws {
            let image = try TestImage.shared()
            try TestHost.with { host throws in
                let standard = try host.shell(
                    image.reference, ["--memory", "64M"],
                    "cat /sys/fs/cgroup/memory.swap.max; cat /sys/fs/cgroup/memory.oom.group")
                #expect(standard.lines == ["0", "1"], "\(standard)")
                let asked = try host.shell(
                    image.reference, ["--memory", "64M", "--memory-swap", "96M"], "cat /sys/fs/cgroup/memory.swap.max")
                #expect(asked.lines == ["33554432"], "\(asked)")
            }
        }

        @Test("Guest: forks beyond --pids-limit are refused")
        func processes() throws {
            let image = try TestImage.shared()
            try TestHost.with { host throws in
                let script = """
                    cat /sys/fs/cgroup/pids.max
                    started=0
                    for number in 1 2 3 4 5 6 7 8 9 10 11 12; do
                        sleep 5 &
                        started=$number
                        echo $number
                    done
                    """
                let seen = try host.shell(image.reference, ["--pids-limit", "6"], script)
                #expect(seen.lines.first == "6", "\(seen)")
                #expect(seen.errors.contains("can't fork"), "\(seen)")
                #expect(!seen.lines.contains("12"))
            }
        }

        @Test("Guest: a fork bomb stays within --pids-limit, and another container beside it notices nothing")
        func forkBomb() throws {
            let image = try TestImage.shared()
            try TestHost.with { host throws in
                try host.succeed("start", "--name", "hello", "-p", "127.0.0.1:0:8000", image.reference)
                let bomb = try host.start(
                    "mlrun",
                    [
                        "run", "--rm", "--quiet", "--pids-limit", "20", image.reference, "sh", "-c",
                        "echo lit; bomb() { while :; do bomb & done; }; bomb 2>/dev/null",
                    ])
                #expect(TestMachine.eventually { bomb.outputSoFar().contains("lit") })
                for _ in 0..<5 {
                    #expect(try HTTPRequest(port: try host.port(of: "hello")).send().status == 200)
                }
                // Those of both containers.
                #expect(host.processes.count <= 20 + 10, "\(host.processes.count)")
                bomb.signal(SIGKILL)
                _ = try bomb.wait()
                #expect(try host.shell(image.reference, "echo alive").lines == ["alive"])
                #expect(try HTTPRequest(port: try host.port(of: "hello")).send().status == 200)
            }
        }

        @Test("Guest: a process gets the share of a processor that --cpus gives, and is throttled above")
        func processor() throws {
            let image = try TestImage.shared()
            try TestHost.with { host throws in
                let script = """
                    cat /sys/fs/cgroup/cpu.max
                    before=$(cut -d' ' -f1 /proc/uptime)
                    timeout 6 sh -c 'while :; do :; done'
                    after=$(cut -d' ' -f1 /proc/uptime)
                    echo "$before $after"
                    grep -E 'usage_usec|nr_throttled' /sys/fs/cgroup/cpu.stat
                    """
                let seen = try host.shell(image.reference, ["--cpus", "0.25"], script)
                #expect(seen.lines.count == 4, "\(seen)")
                #expect(seen.lines.first == "25000 100000")
                let times = seen.lines.dropFirst().first?.split(separator: " ").compactMap { Double($0) } ?? []
                func value(_ name: String) -> Double? {
                    seen.lines.first { $0.hasPrefix(name) }?.split(separator: " ").last.flatMap { Double($0) }
                }
                let elapsed = times.count == 2 ? times[1] - times[0] : 0
                let share = (value("usage_usec") ?? 0) / 1_000_000 / elapsed
                #expect((value("nr_throttled") ?? 0) > 0, "\(seen)")
                #expect(share > 0.15 && share < 0.35, "it got \(share) of a processor: \(seen)")
            }
        }

        @Test(
            "Guest: writes to a disk are as slow as --device-write-bps says",
            .enabled(if: TestMachine.controllers.contains("io"), "needs the io controller"),
            .enabled(if: TestMachine.isInstalled("losetup", "mkfs.ext4"), "needs losetup and mkfs.ext4"))
        func disk() throws {
            let image = try TestImage.shared()
            let directory = try TestDirectory()
            let file = "\(directory.path)/disk"
            try Program.succeed("truncate", "-s", "32M", file)
            try Program.succeed("mkfs.ext4", "-q", file)
            let device = try Program.succeed("losetup", "--find", "--show", file).trimmingSuffix { $0.isNewline }
            defer { _ = try? Program.succeed("losetup", "--detach", device) }
            try File.makeDirectories("\(directory.path)/mount")
            try Program.succeed("mount", device, "\(directory.path)/mount")
            defer { _ = try? Program.succeed("umount", "\(directory.path)/mount") }
            try TestHost.with { host throws in
                // Direct writes, so that the moment of writing is the moment of waiting.
                let script = """
                    cat /sys/fs/cgroup/io.max
                    before=$(cut -d' ' -f1 /proc/uptime)
                    dd if=/dev/zero of=/data/file bs=256k count=16 oflag=direct 2>/dev/null || echo failed
                    echo "$before $(cut -d' ' -f1 /proc/uptime)"
                    """
                let seen = try host.shell(
                    image.reference, ["-v", "\(directory.path)/mount:/data", "--device-write-bps", "\(device):1M"],
                    script)
                #expect(seen.lines.first?.contains("wbps=1048576") == true, "\(seen)")
                let times = seen.lines.last?.split(separator: " ").compactMap { Double($0) } ?? []
                // Four megabytes at one a second; the first burst is free.
                #expect(times.count == 2 && times[1] - times[0] > 2, "\(seen)")
            }
        }

        @Test("Guest: limits of a service are seen in stats")
        func statistics() throws {
            let image = try TestImage.shared()
            try TestHost.with { host throws in
                try host.succeed(
                    "start", "--name", "hello", "-p", "127.0.0.1:0:8000", "--memory", "64M", "--pids-limit", "50",
                    image.reference)
                #expect(try HTTPRequest(port: try host.port(of: "hello")).send().status == 200)
                let row = try host.json("stats", "--no-stream", "-o", "json", "hello").array?.first
                #expect(row?["memoryLimit"]?.int == 64 << 20, "\(row?.text() ?? "none")")
                #expect((row?["memory"]?.int ?? 0) > 0)
                #expect((row?["pids"]?.int ?? 0) >= 2)
            }
        }
    }
}
