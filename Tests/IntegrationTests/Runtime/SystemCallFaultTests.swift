import Glibc
import LinuxSystem
import Testing

extension Integration {
    /// Every system call of the runtime and of the processes it makes may fail, up to the execution of a container's program.
    ///
    /// Each walk takes a sample; `MLRUN_FAULT_STRIDE=1` takes every call with every error. `MLRUN_FAULT_LOG` names a file that
    /// gets a line for each fault.
    @Suite(
        .enabled(
            if: TestMachine.isNative && FaultMachine.injector != nil && TestMachine.isInstalled("ip", "nsenter"),
            "\(TestMachine.needs), and iproute2; runs natively"))
    struct SystemCallFaultTests {
        private let machine: FaultMachine
        private let before: FaultMachine.Traces

        init() throws {
            machine = try FaultMachine()
            before = machine.traces()
        }

        private var delete: String { "\(machine.oci) delete --force \(FaultMachine.id)" }
        private var create: String { "\(machine.oci) create --bundle \(machine.bundle) \(FaultMachine.id)" }
        private var start: String { "\(machine.oci) start \(FaultMachine.id)" }

        // MARK: The walk

        private static let wholeSample = 48
        private static let stride = TestMachine.variable("MLRUN_FAULT_STRIDE").flatMap { Int($0) }
        private static let logFile = TestMachine.variable("MLRUN_FAULT_LOG")

        /// What became of one fault: the script's end, and what is wrong about it.
        private struct Verdict {
            var problems: [String] = []
            mutating func expect(_ holds: Bool, _ problem: @autoclosure () -> String) {
                if !holds { problems.append(problem()) }
            }
        }

        /// Lets each call of a script fail in turn. The script's own status is the runtime's.
        ///
        /// - Parameters:
        ///   - killing: kill the process before the call instead.
        ///   - without: calls that another walk has had, by the list of those.
        ///   - prepare: what has to be there before.
        ///   - judge: looks at what the script left, and leaves nothing itself.
        private func walk(
            _ name: String, _ script: String, killing: Bool = false, without had: String = "",
            prepare: () throws -> Void = {}, judge: (Program.Outcome, Fault, inout Verdict) throws -> Void
        ) throws {
            machine.forgetFilters()
            try prepare()
            let (_, list) = try machine.inject(nil, script)
            try finish()
            let known = Set(Fault.all(had, killing: true).map { "\($0.process):\($0.call)" })
            let faults = Fault.all(list, killing: killing).filter { !known.contains("\($0.process):\($0.call)") }
            #expect(!faults.isEmpty, "\(name) makes no calls: \(list)")
            let stride = Self.stride ?? max(1, faults.count / Self.wholeSample)
            var missed = 0
            var taken = 0
            for index in Swift.stride(from: stride / 2, to: faults.count, by: stride) {
                let fault = faults[index]
                taken += 1
                var verdict = Verdict()
                machine.forgetFilters()
                try prepare()
                do {
                    let (outcome, report) = try machine.inject(fault, script)
                    if report.hasPrefix("not reached") { missed += 1 }
                    log(name, fault, outcome, report)
                    verdict.expect(
                        !(129...192).contains(outcome.status) || killing || Self.isOfSwift(outcome),
                        "the runtime died of signal \(outcome.status - 128)")
                    verdict.expect(
                        outcome.status == 0 || killing || Self.isOfSwift(outcome)
                            || Self.namesWhatFailed(outcome.errors) || Self.isOfTelling(fault, outcome),
                        "the error does not say what failed")
                    try judge(outcome, fault, &verdict)
                    if !verdict.problems.isEmpty { verdict.problems.append("\(outcome)") }
                } catch let error as TestFailure { verdict.problems.append(error.description) }
                try end(&verdict)
                if verdict.problems.isEmpty { continue }
                log(name, fault, verdict.problems)
                Issue.record("\(name): \(fault): \(verdict.problems.joined(separator: "\n"))")
            }
            #expect(missed * 20 <= taken, "\(missed) of \(taken) calls of \(name) were not made the second time")
        }

        /// Whatever has happened, deleting by force works, twice, and leaves nothing.
        private func end(_ verdict: inout Verdict) throws {
            for time in ["first", "second"] {
                let outcome = try machine.run(delete)
                verdict.expect(outcome.status == 0, "the \(time) delete --force fails: \(outcome)")
            }
            let left = machine.leftovers(beyond: before)
            verdict.expect(left.isEmpty, "after delete --force there is still \(left.joined(separator: ", "))")
            if !left.isEmpty { machine.removeEverything() }
        }

        private func finish() throws {
            var verdict = Verdict()
            try end(&verdict)
            #expect(verdict.problems.isEmpty)
        }

        /// Swift's runtime looks for its own place before main, and ends the program where it cannot.
        private static func isOfSwift(_ outcome: Program.Outcome) -> Bool {
            outcome.errors.contains("Unable to obtain Swift runtime path")
        }

        /// The failure that cannot be told is that of telling one.
        private static func isOfTelling(_ fault: Fault, _ outcome: Program.Outcome) -> Bool {
            fault.name == "write" && outcome.errors.isEmpty
        }

        private static func namesWhatFailed(_ errors: String) -> Bool {
            errors.split(separator: "\n").contains { $0.hasPrefix("mlrun-oci: ") && $0.utf8.count > 24 }
        }

        private func log(_ name: String, _ fault: Fault, _ outcome: Program.Outcome, _ report: String) {
            let said = outcome.errors.split(separator: "\n").joined(separator: " | ")
            append("\(name)\t\(fault)\t\(report.hasPrefix("not") ? "not reached" : "\(outcome.status)")\t\(said)\n")
        }

        private func log(_ name: String, _ fault: Fault, _ problems: [String]) {
            append(
                "\(name)\t\(fault)\tPROBLEM\t\(problems.joined(separator: " | ").split(separator: "\n").joined(separator: " | "))\n"
            )
        }

        private func append(_ line: String) {
            guard let path = Self.logFile,
                let file = try? File.open(path, O_WRONLY | O_CREAT | O_APPEND, mode: 0o644)
            else { return }
            try? File.writeAll(Array(line.utf8), to: file.rawValue)
        }

        // MARK: What is expected

        private func status() throws -> String {
            let outcome = try machine.run("\(machine.oci) state \(FaultMachine.id)")
            for status in ["creating", "created", "running", "stopped", "paused"]
            where outcome.output.contains("\"status\": \"\(status)\"") { return status }
            return "none: \(outcome.errors)"
        }

        /// A creation either has a container to show, or nothing at all.
        private func judgeCreation(
            _ outcome: Program.Outcome, _ fault: Fault, _ verdict: inout Verdict
        ) throws {
            if outcome.status == 0 {
                try expectMade(fault, &verdict)
                return
            }
            // Whoever is killed cannot clean up.
            if fault.error == nil, fault.process == "1.1" { return }
            let left = machine.leftovers(beyond: before)
            verdict.expect(left.isEmpty, "there is still \(left.joined(separator: ", "))")
            let hasDevice = try machine.hasWholeDevice()
            verdict.expect(hasDevice, "the network device has not come back as it was")
        }

        /// A container whose process comes to its end when all is made, on the last steps to its gate, has stopped.
        private func expectMade(_ fault: Fault, _ verdict: inout Verdict) throws {
            let status = try status()
            let isMade = status == "created" || (status == "stopped" && fault.process == "1.1.1")
            verdict.expect(isMade, "success is told of a container that is \(status)")
        }

        // MARK: Tests

        @Test(
            "a call of create that fails leaves nothing, and one that is not missed a created container",
            arguments: [false, true])
        func creation(withUserNamespace: Bool) throws {
            try machine.writeBundle(withUserNamespace: withUserNamespace)
            try walk(
                withUserNamespace ? "create with a user namespace" : "create", "\(create); exit $?",
                prepare: machine.makeDevice
            ) { outcome, fault, verdict in
                try judgeCreation(outcome, fault, &verdict)
            }
        }

        @Test("a call of start that fails leaves a container that tells the truth about itself")
        func starting() throws {
            try machine.makeDevice()
            let (_, list) = try machine.inject(nil, "\(create); exit $?")
            try finish()
            try walk("start", "\(create) && \(start); exit $?", without: list, prepare: machine.makeDevice) {
                outcome, _, verdict in
                let status = try status()
                if outcome.status == 0 {
                    verdict.expect(status == "running", "success is told of a container that is \(status)")
                } else if status == "created" {
                    let again = try machine.run(start)
                    verdict.expect(again.status == 0, "it is created, but cannot be started: \(again)")
                    let status = try self.status()
                    verdict.expect(status == "running", "started again it is \(status)")
                } else if outcome.errors.contains("poststart hook") {
                    let isGone = status.hasPrefix("none: ") && status.contains("does not exist")
                    verdict.expect(isGone, "after a poststart hook that failed its state is \(status)")
                } else {
                    verdict.expect(["running", "stopped"].contains(status), "its state is \(status)")
                }
            }
        }

        @Test("a call of run that fails leaves nothing, and one that is not missed what the program printed")
        func running() throws {
            try machine.writeBundle(program: ["sh", "-c", "sleep 0.05; echo it ran"])
            let run = "\(machine.oci) run --bundle \(machine.bundle) \(FaultMachine.id); exit $?"
            try walk("run", run, prepare: machine.makeDevice) { outcome, _, verdict in
                if outcome.status == 0 {
                    verdict.expect(outcome.output == "it ran\n", "success is told of a program that did not run")
                }
                let left = machine.leftovers(beyond: before, milliseconds: 20)
                // Its own removal may be what failed.
                let hasStopped = outcome.output == "it ran\n" && !left.contains { $0.hasPrefix("the process") }
                verdict.expect(left.isEmpty || hasStopped, "there is still \(left.joined(separator: ", "))")
            }
        }

        @Test("a call of exec that fails leaves no further process, and the container as it was")
        func executing() throws {
            try machine.writeBundle(withDevice: false)
            let exec = "\(machine.oci) exec \(FaultMachine.id) sh -c 'sleep 0.05; echo it ran'; exit $?"
            var container = FaultMachine.Traces()
            try walk(
                "exec", exec,
                prepare: {
                    let outcome = try machine.run("\(create) && \(start)")
                    if outcome.status != 0 { throw TestFailure("cannot make a container: \(outcome)") }
                    container = machine.traces()
                }
            ) { outcome, _, verdict in
                if outcome.status == 0 {
                    verdict.expect(outcome.output == "it ran\n", "success is told of a program that did not run")
                }
                var left = machine.leftovers(beyond: container, milliseconds: 20)
                // What the shell had started when it was killed ends by itself.
                if left.allSatisfy({ $0.hasSuffix("(sleep 0.05 )") }) {
                    left = machine.leftovers(beyond: container, milliseconds: 200)
                }
                verdict.expect(left.isEmpty, "there is still \(left.joined(separator: ", "))")
                let status = try status()
                verdict.expect(status == "running", "the container is \(status)")
            }
        }

        @Test(
            "a call of delete that fails leaves nothing that a second delete cannot remove", arguments: [true, false])
        func deleting(force: Bool) throws {
            try machine.writeBundle(withDevice: false)
            let stop = """
                \(machine.oci) kill \(FaultMachine.id) KILL
                while \(machine.oci) state \(FaultMachine.id) | grep -q running; do sleep 0.01; done
                """
            try walk(
                force ? "delete --force" : "delete",
                force ? "\(delete); exit $?" : "\(machine.oci) delete \(FaultMachine.id); exit $?",
                prepare: {
                    let outcome = try machine.run("\(create) && \(start) && { \(force ? ":" : stop); }")
                    if outcome.status != 0 { throw TestFailure("cannot make a container: \(outcome)") }
                }
            ) { outcome, _, verdict in
                if outcome.status != 0 { return }
                let left = machine.leftovers(beyond: before)
                verdict.expect(left.isEmpty, "success is told, but there is still \(left.joined(separator: ", "))")
            }
        }

        @Test("a creation that fails anyway, and cannot be taken back whole, leaves what delete can remove")
        func undoing() throws {
            try machine.writeBundle(withDevice: false, failingHook: true)
            try walk("create that fails", "\(create); exit $?") { outcome, _, verdict in
                verdict.expect(outcome.status != 0, "success is told of a container whose hook failed")
            }
        }

        @Test(
            "a runtime that is killed before any of its calls leaves nothing that delete cannot remove",
            arguments: ["create", "start", "run", "delete"])
        func killing(verb: String) throws {
            try machine.writeBundle(program: verb == "run" ? ["true"] : ["sleep", "1000"], withDevice: false)
            let run = "\(machine.oci) run --bundle \(machine.bundle) \(FaultMachine.id)"
            let scripts = ["create": create, "start": "\(create) && \(start)", "run": run, "delete": delete]
            var had = ""
            if verb == "start" {
                had = try machine.inject(nil, "\(create); exit $?").report
                try finish()
            }
            try walk(
                "\(verb), killed", "\(scripts[verb] ?? ""); exit $?", killing: true, without: had,
                prepare: {
                    guard verb == "delete" else { return }
                    let outcome = try machine.run("\(create) && \(start)")
                    if outcome.status != 0 { throw TestFailure("cannot make a container: \(outcome)") }
                }
            ) { outcome, fault, verdict in
                if verb == "create" { try judgeKilledCreation(outcome, fault, &verdict) }
            }
        }

        private func judgeKilledCreation(
            _ outcome: Program.Outcome, _ fault: Fault, _ verdict: inout Verdict
        ) throws {
            if outcome.status == 0 {
                try expectMade(fault, &verdict)
            } else if fault.process != "1.1" {
                let left = machine.leftovers(beyond: before)
                verdict.expect(left.isEmpty, "there is still \(left.joined(separator: ", "))")
            }
        }
    }
}
