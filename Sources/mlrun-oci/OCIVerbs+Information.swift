import Container
import Glibc
import LinuxSystem
import OCISpec

extension OCIVerbs {
    @Sendable static func features(_ invocation: Invocation) throws -> Int32 {
        let heedsAnnotations = try OCIGlobals.heedsAnnotations(invocation.globals)
        let features = RuntimeFeatures.json(version: OCIProgram.version, heedsAnnotations: heedsAnnotations)
        print(features.text(pretty: true))
        return 0
    }

    @Sendable static func spec(_ invocation: Invocation) throws -> Int32 {
        let path = "\(absolute(invocation.value("bundle") ?? "."))/config.json"
        if File.exists(path) { throw UsageError("\(path) is there already: remove it first") }
        var spec = SpecTemplate.spec
        if invocation.has("rootless") { spec = SpecTemplate.rootless(spec, uid: geteuid(), gid: getegid()) }
        try File.replace(path, with: spec.json.bytes(pretty: true) + [UInt8(ascii: "\n")], mode: 0o644, durable: false)
        return 0
    }

    @Sendable static func preflight(_ invocation: Invocation) throws -> Int32 {
        let format = try format(invocation, ["text", "json"])
        let report = try Preflight.report(
            bundle: invocation.value("bundle").map(absolute), cgroups: try OCIGlobals.cgroupManager(invocation),
            criu: invocation.globals["criu"] ?? "criu")
        if format == "json" {
            print(report.json.text(pretty: true))
        } else {
            for line in report.lines { print(line) }
        }
        return report.isReady ? 0 : 1
    }
}
