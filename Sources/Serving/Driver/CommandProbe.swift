internal import CLinux
internal import Container
internal import Glibc
internal import LinuxSystem
internal import OCISpec

/// Runs a command in a replica as a probe; on a worker thread.
struct CommandProbe: Sendable {
    private static let mostOutput = 4096

    let container: ContainerProcess
    let host: HostFacts
    let process: RuntimeSpec.Process
    let linux: RuntimeSpec.Linux?
    let cgroup: Cgroup
    let timeout: Duration
    let seccompCache: String
    let keyring: String

    func run() -> ProbeAnswer {
        do throws(LaunchError) {
            let (reader, child) = try start()
            return wait(child, output: reader.rawValue)
        } catch {
            return .failed(error.description)
        }
    }

    private func start() throws(LaunchError) -> (SharedDescriptor, ContainerProcess) {
        var request = ExecRequest(container: container, linux: linux, host: host, process: process)
        request.seccompCache = seccompCache
        request.keyring = keyring
        let reader: SharedDescriptor
        do throws(SystemError) {
            let pipe = try DescriptorPair.pipe()
            reader = SharedDescriptor(try pipe.first.duplicate())
            let writer = SharedDescriptor(try pipe.second.duplicate())
            request.streams = .files(input: nil, output: writer, error: writer)
        } catch {
            throw .system(error)
        }
        do throws(CgroupError) { request.cgroup = SharedDescriptor(try cgroup.openDirectory()) } catch {
            throw .setting(path: "cgroup", error.cause)
        }
        return (reader, try ContainerExec.run(request))
    }

    private func wait(_ child: ContainerProcess, output: Int32) -> ProbeAnswer {
        let deadline = EventLoop.now + UInt64(max(0, timeout.wholeNanoseconds))
        var text: [UInt8] = []
        var isOpen = true
        _ = mlr_set_nonblocking(output, true)
        while true {
            let left = Int64(deadline) - Int64(EventLoop.now)
            var entries = [
                pollfd(fd: child.pidfd, events: Int16(POLLIN), revents: 0),
                pollfd(fd: isOpen && text.count < Self.mostOutput ? output : -1, events: Int16(POLLIN), revents: 0),
            ]
            if left <= 0 || poll(&entries, 2, Int32(clamping: left / 1_000_000 + 1)) == 0 {
                _ = try? child.kill()
                return .timedOut
            }
            if entries[1].revents != 0 {
                var buffer = [UInt8](repeating: 0, count: 4096)
                let got = read(output, &buffer, buffer.count)
                if got > 0 { text.append(contentsOf: buffer[..<got]) }
                // A command that closes its output and goes on would keep the descriptor ready for ever.
                if got == 0 { isOpen = false }
            }
            if entries[0].revents != 0 {
                guard let status = try? child.poll() else { return .failed("how the command ended is not known") }
                return .exec(
                    exitCode: status.code, output: String(decoding: text.prefix(Self.mostOutput), as: UTF8.self))
            }
        }
    }
}
