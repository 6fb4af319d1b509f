import Glibc
import LinuxSystem
import OCISpec
import Testing

extension Integration {
    /// What a process in a container sees, as it tells it itself.
    @Suite(.enabled(if: TestMachine.isNative, "\(TestMachine.needs); runs natively"))
    struct IsolationTests {
        private func inside(_ options: [String] = [], _ script: String) throws -> Program.Outcome {
            let image = try TestImage.shared()
            return try TestHost.with { host throws in try host.shell(image.reference, options, script) }
        }

        @Test("it is process 1 and sees no process of the host")
        func processes() throws {
            let seen = try inside(
                [],
                "echo $$; for p in /proc/[0-9]*; do echo ${p#/proc/}; done | sort -n | head -1; ls -d /proc/[0-9]* | wc -l"
            )
            #expect(seen.lines.first == "1", "\(seen)")
            // The shell itself and the processes of its pipe; the host has many more.
            #expect((seen.lines.last.flatMap { Int($0) } ?? 99) <= 4, "\(seen)")
        }

        @Test("all its namespaces are its own")
        func namespaces() throws {
            let kinds = ["pid", "mnt", "uts", "ipc", "net", "cgroup", "user"]
            let seen = try inside([], "for n in \(kinds.joined(separator: " ")); do readlink /proc/self/ns/$n; done")
            #expect(seen.lines.count == kinds.count, "\(seen)")
            for (kind, link) in zip(kinds, seen.lines) {
                #expect(link.hasPrefix("\(kind):["))
                #expect(link != (try File.readLink("/proc/self/ns/\(kind)")), "\(kind) is the host's")
            }
        }

        @Test("it sees its own files and mounts, and none of the host")
        func mounts() throws {
            let secret = try TestDirectory()
            try secret.write("secret", "of the host")
            let seen = try inside(
                [], "ls -A /; echo ---; cat /proc/self/mountinfo; echo ---; ls \(secret.path) /home /host 2>&1")
            let parts = seen.output.split(separator: "---\n").map(String.init)
            #expect(parts.count == 3, "\(seen)")
            let names = Set((parts.first ?? "").split(separator: "\n").map(String.init))
            #expect(names == ["bin", "data", "dev", "etc", "proc", "root", "run", "srv", "sys", "tmp", "usr"])
            let mounts = (parts.count > 1 ? parts[1] : "").split(separator: "\n")
            let root = mounts.first { $0.split(separator: " ").dropFirst(4).first == "/" }
            #expect(root?.contains(" - overlay ") == true, "\(seen)")
            #expect(
                !mounts.contains { $0.contains(" - ext4 ") && !$0.contains("/etc/") },
                "only files of its own come from the host's disk")
            #expect(!seen.output.contains("secret"))
        }

        @Test("it has no network but its loopback, and no way out")
        func network() throws {
            let seen = try inside(
                [],
                "ls /sys/class/net; cat /proc/net/route | tail -n +2; ip -o addr show lo | head -1; ip route; nc -w 2 1.1.1.1 80 </dev/null; echo rc $?"
            )
            #expect(seen.lines.first == "lo", "\(seen)")
            #expect(seen.output.contains("127.0.0.1"), "loopback is up")
            #expect(!seen.output.contains("default"))
            #expect(seen.lines.last == "rc 1")
            #expect(seen.lines.filter { $0.hasPrefix("eth") || $0.hasPrefix("en") }.isEmpty)
        }

        @Test("it has Docker's capabilities and no more, and no new privileges")
        func capabilities() throws {
            let seen = try inside([], "cat /proc/self/status")
            var fields: [String: String] = [:]
            for line in seen.lines {
                let parts = line.split(separator: ":", maxSplits: 1)
                if parts.count == 2 { fields[String(parts[0])] = parts[1].drop { $0.isWhitespace }.description }
            }
            // chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap, net_bind_service, net_raw, sys_chroot,
            // mknod, audit_write, setfcap.
            #expect(fields["CapBnd"] == "00000000a80425fb", "\(seen)")
            #expect(fields["CapEff"] == "00000000a80425fb")
            #expect(fields["CapPrm"] == "00000000a80425fb")
            #expect(fields["CapInh"] == "0000000000000000")
            #expect(fields["CapAmb"] == "0000000000000000")
            #expect(fields["NoNewPrivs"] == "1")
            #expect(fields["Seccomp"] == "2")
        }

        @Test("capabilities are added and dropped as asked")
        func changedCapabilities() throws {
            let all = try inside(["--cap-drop", "ALL"], "grep CapEff /proc/self/status")
            #expect(all.output.hasSuffix("0000000000000000\n"), "\(all)")
            let one = try inside(["--cap-drop", "ALL", "--cap-add", "NET_ADMIN"], "grep CapEff /proc/self/status")
            #expect(one.output.hasSuffix("0000000000001000\n"), "\(one)")
            let user = try inside(["--user", "server"], "grep -E 'Cap(Eff|Prm)' /proc/self/status")
            #expect(user.lines.allSatisfy { $0.hasSuffix("0000000000000000") }, "\(user)")
        }

        @Test("system calls that could harm the host are refused")
        func systemCalls() throws {
            let calls = [
                "mount -t tmpfs tmpfs /data", "umount /proc", "unshare -m true", "unshare -U true", "reboot -f -n",
                "swapoff /data/x",
                "hostname other", "if date -s 2000-01-01 2>&1 | grep -q 'not permitted'; then false; fi",
                "mknod /data/null b 8 0",
                "chroot /proc/1/root/.. true && false",
                "insmod /data/x.ko", "nice -n -5 true",
            ]
            for call in calls {
                let seen = try inside([], "touch /data/x /data/x.ko; \(call) 2>&1; echo rc $?")
                #expect(seen.status == 0, "the container lives on after \(call): \(seen)")
                #expect(seen.lines.last != "rc 0", "\(call) was let through: \(seen)")
            }
        }

        @Test(
            "calls that busybox has no applet for are refused by number",
            .enabled(if: TestMachine.modelImage != nil, "needs MLRUN_TEST_MODEL_IMAGE: an image with Python"))
        func callsByNumber() throws {
            let model = try #require(TestMachine.modelImage)
            // x86-64 and arm64 numbers of: keyctl, add_key, bpf, perf_event_open, kexec_load, init_module, userfaultfd,
            // open_by_handle_at, pivot_root, setns, ptrace is left out since Docker allows it.
            let script = """
                import ctypes, os, platform
                libc = ctypes.CDLL(None, use_errno=True)
                numbers = {"x86_64": [250, 248, 321, 298, 246, 175, 323, 304, 155, 308], "aarch64": [219, 217, 280, 241, 104, 105, 282, 265, 41, 268]}
                for number in numbers[platform.machine()]:
                    result = libc.syscall(number, 0, 0, 0, 0, 0)
                    print(number, result, ctypes.get_errno())
                # What numeric libraries need must work: get_mempolicy(2).
                mode = ctypes.c_int()
                print("mempolicy", libc.syscall(239 if platform.machine() == "x86_64" else 236, ctypes.byref(mode), None, 0, None, 0))
                """
            try TestHost.with { host throws in
                let seen = try host.mlrun([
                    "run", "--rm", "--quiet", "--user", "0", "oci-archive:\(model)", "python3", "-c", script,
                ])
                #expect(seen.status == 0, "\(seen)")
                #expect(seen.lines.count == 11)
                for line in seen.lines.dropLast() {
                    let words = line.split(separator: " ")
                    // EPERM, or ENOSYS for calls newer than the filter's tables.
                    #expect(words[1] == "-1" && ["1", "38"].contains(words[2]), "\(line)")
                }
                #expect(seen.lines.last == "mempolicy 0")
            }
        }

        @Test("what shows or changes the machine is masked or read-only")
        func maskedPaths() throws {
            let files = ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/interrupts"]
            let directories = ["/proc/acpi", "/proc/scsi", "/sys/firmware"]
            let there = (files + directories).filter { File.exists($0) }
            #expect(!there.isEmpty)
            let seen = try inside(
                [],
                """
                for f in \(files.joined(separator: " ")); do [ -e $f ] && echo "$f $(head -c 10 $f 2>&1 | wc -c)"; done
                for d in \(directories.joined(separator: " ")); do [ -e $d ] && echo "$d $(ls -A $d | wc -l)"; done
                for f in kernel/hostname kernel/core_pattern vm/overcommit_memory net/ipv4/ip_forward; do
                    (echo 1 > /proc/sys/$f) 2>&1 | tail -1
                done
                [ ! -e /proc/sysrq-trigger ] || (echo h > /proc/sysrq-trigger) 2>&1
                (touch /sys/x) 2>&1; (mkdir /sys/fs/cgroup/x) 2>&1
                """)
            let sizes = seen.lines.filter { $0.hasPrefix("/") }
            #expect(sizes == there.map { "\($0) 0" }, "\(seen)")
            let refusals = seen.lines.filter { !$0.hasPrefix("/") }
            #expect(refusals.count == (File.exists("/proc/sysrq-trigger") ? 7 : 6), "\(seen)")
            #expect(
                refusals.allSatisfy { $0.contains("Read-only file system") || $0.contains("ermission denied") },
                "\(seen)")
        }

        @Test("no descriptor but the three reaches it, neither by run nor by exec")
        func descriptors() throws {
            let list = "ls /proc/self/fd | wc -l; for f in /proc/1/fd/*; do readlink $f; done"
            // The fourth is the directory that ls itself reads.
            let ran = try inside([], list)
            #expect(ran.lines.first == "4", "\(ran)")
            #expect(ran.lines.dropFirst().allSatisfy { $0.contains("pipe:") || $0.contains("null") }, "\(ran)")
            let image = try TestImage.shared()
            try TestHost.with { host throws in
                try host.succeed("start", "--name", "hello", "-p", "127.0.0.1:0:8000", image.reference)
                #expect(try host.succeed("exec", "hello", "sh", "-c", "ls /proc/self/fd | wc -l").lines == ["4"])
                let service = try host.succeed(
                    "exec", "hello", "sh", "-c", "for f in /proc/1/fd/*; do readlink $f; done")
                #expect(service.lines.filter { !$0.hasPrefix("/bin/serve") }.count <= 3, "\(service)")
            }
        }

        @Test("/dev holds what programs need and nothing of the host's")
        func devices() throws {
            let seen = try inside(
                [],
                """
                ls /dev; echo ---
                stat -c '%n %t,%T %a' /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty
                for link in fd stdin ptmx; do readlink /dev/$link; done
                echo x >/dev/null && head -c 4 /dev/zero | wc -c
                """
            )
            let names = Set(seen.lines.prefix { $0 != "---" })
            let wanted: Set = [
                "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty",
                "urandom", "zero",
            ]
            // /dev/core is there where the kernel has /proc/kcore.
            #expect(names.subtracting(["core"]) == wanted, "\(seen)")
            #expect(seen.output.contains("/dev/null 1,3 666"), "\(seen)")
            #expect(seen.output.contains("/dev/urandom 1,9 666"))
            #expect(seen.output.contains("/proc/self/fd\n"))
            #expect(seen.lines.last == "4")
        }
    }
}
