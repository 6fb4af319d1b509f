internal import Container
internal import Glibc
internal import LinuxSystem
internal import Serving

/// mlrund [--version|--help]: the supervisor, in the foreground. mlrun starts it when it is needed.
private func run() -> Int32 {
    func say(_ text: String) { try? File.writeAll(Array("\(text)\n".utf8), to: 2) }
    let arguments = CommandLine.arguments.dropFirst()
    switch arguments.first {
    case nil: break
    case "--version":
        print("mlrund \(Supervisor.version)")
        return 0
    case "--help", "-h":
        print(
            """
            usage: mlrund

            Keeps services running. mlrun start starts it when it is needed; run it by hand or from a systemd unit
            to have it from boot on. SIGTERM ends it and leaves replicas and gateway running for the next one;
            mlrun shutdown --stop-services ends them too.

            environment: MLRUN_ROOT (default /var/lib/mlrun), MLRUN_STATE (default /run/mlrun),
            MLRUN_MAX_CONNECTIONS and MLRUN_MAX_CONNECTIONS_PER_CLIENT (of clients to all services; by default half of
            the descriptors a process may open, at most 16384, and half of that)
            """)
        return 0
    case .some(let word):
        say("mlrund: \(word) is no option of mlrund\nmlrund --help shows what there is")
        return 125
    }
    ProcessMemory.useOneHeap()
    do throws(SystemError) {
        do throws(SystemError) { try SealedProgram.enter() } catch {
            // Without the right to mount no container can be made either; that is told when one is wanted.
            say("mlrund: warning: \(error)")
        }
        let gateway = "\(File.parent(of: try SealedProgram.path()))/mlrun-gateway"
        do throws(ControlError) { try Supervisor.run(.fromEnvironment(), gateway: gateway) } catch {
            say("mlrund: \(error.message)")
            if let remedy = error.remedy { say("  \(remedy)") }
            return 125
        }
    } catch {
        say("mlrund: \(error)")
        return 125
    }
    return 0
}

exit(run())
