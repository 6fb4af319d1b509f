import CLinux
import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import Container

/// Devices move between network namespaces of the tests' own.
@Suite(.enabled(if: geteuid() == 0, "needs root"))
struct NetworkDeviceTests {
    let home: SharedDescriptor
    let target: SharedDescriptor

    init() throws {
        home = try Self.namespace()
        target = try Self.namespace()
    }

    private static func namespace() throws -> SharedDescriptor {
        try TestThread {
            try check(mlr_unshare(Int32(MLR_CLONE_NEWNET)), "create a network namespace")
            return SharedDescriptor(try File.open("/proc/thread-self/ns/net", O_RDONLY))
        }.value()
    }

    /// ip(8) in a namespace.
    private func ip(_ arguments: String, in namespace: SharedDescriptor) throws -> String {
        let path = "/var/tmp/mlrun-ip-\(File.randomName())"
        defer { unlink(path) }
        try TestThread {
            try check(mlr_setns(namespace.rawValue, Int32(MLR_CLONE_NEWNET)), "join a network namespace")
            guard system("ip \(arguments) > \(path) 2>&1") == 0 else {
                throw SystemError("ip \(arguments): \(try File.readText(path))", .invalidArgument)
            }
        }.value()
        return try File.readText(path)
    }

    private func makePair() throws {
        _ = try ip("link add data type veth peer name other", in: home)
        _ = try ip("addr add 10.9.8.7/24 broadcast 10.9.8.255 dev data", in: home)
        _ = try ip("addr add 169.254.7.7/16 scope link dev data", in: home)
        _ = try ip("-6 addr add fd00:9::7/64 dev data nodad", in: home)
        _ = try ip("link set data mtu 1400 up", in: home)
        _ = try ip("link set other up", in: home)
    }

    private func move(_ devices: [String: RuntimeSpec.NetworkDevice]) throws -> NetworkDevices {
        var moving = try NetworkDevices(into: target, from: home)
        try moving.move(devices)
        return moving
    }

    @Test("a device moves with its global addresses and settings, is renamed and up")
    func moves() throws {
        try makePair()
        _ = try move(["data": .init(name: "eth0")])
        let inside = try ip("addr show dev eth0", in: target)
        #expect(inside.contains("10.9.8.7/24") && inside.contains("brd 10.9.8.255"), "\(inside)")
        #expect(inside.contains("fd00:9::7/64") && inside.contains("mtu 1400") && inside.contains(",UP"), "\(inside)")
        #expect(!inside.contains("169.254.7.7"), "\(inside)")
        #expect(!(try ip("link show", in: home)).contains("data"))
    }

    @Test("without a name it keeps its own; a pattern is numbered by the kernel")
    func names() throws {
        try makePair()
        _ = try move(["data": .init(), "other": .init(name: "eth%d")])
        let links = try ip("-br link", in: target)
        #expect(links.contains("data@eth0") && links.contains("eth0@data"), "\(links)")
    }

    @Test("a name that is taken in the container is refused by its field, and the device stays as it was")
    func taken() throws {
        try makePair()
        _ = try ip("link add eth0 type veth peer name eth1", in: target)
        let before = try ip("-br addr", in: home)
        let error = #expect(throws: LaunchError.self) { _ = try move(["data": .init(name: "eth0")]) }
        #expect(error?.description.hasPrefix("linux.netDevices.data: ") == true)
        #expect(error?.description.contains("already") == true, "\(String(describing: error))")
        #expect(try ip("-br addr", in: home) == before)
    }

    @Test("all devices move or none: the first comes back with its addresses when the second is missing")
    func allOrNone() throws {
        try makePair()
        let error = #expect(throws: LaunchError.self) { _ = try move(["data": .init(name: "eth0"), "zzz": .init()]) }
        #expect(error?.description == "linux.netDevices.zzz: the host has no network device of this name")
        let back = try ip("addr show dev data", in: home)
        #expect(back.contains("10.9.8.7/24") && back.contains("fd00:9::7/64") && back.contains(",UP"), "\(back)")
    }

    @Test("devices come back when their container cannot be made")
    func givenBack() throws {
        try makePair()
        var moved = try move(["data": .init(name: "eth0")])
        moved.giveBack()
        let back = try ip("addr show dev data", in: home)
        #expect(back.contains("10.9.8.7/24") && back.contains(",UP"), "\(back)")
        #expect(!(try ip("link show", in: target)).contains("eth0"))
    }

    @Test(
        "names that the kernel would not take are refused by their field",
        arguments: ["", ".", "..", "a/b", "a b", "a:b", "sixteen-letters-", "a%s", "%d%d"])
    func badNames(_ name: String) throws {
        var spec = LaunchFixture.spec("true")
        spec.linux?.netDevices = ["data": .init(name: name)]
        let error = #expect(throws: PlanError.self) { try LaunchPlanner.plan(spec, host: LaunchPlanTests.host) }
        #expect(error?.problems.map(\.path) == ["linux.netDevices.data.name"])
    }

    @Test("a container finds its devices in place", .enabled(if: LaunchFixture.isPossible, "needs busybox-static"))
    func container() throws {
        let fixture = try LaunchFixture()
        try makePair()
        let home = home
        let outcome = try TestThread {
            try check(mlr_setns(home.rawValue, Int32(MLR_CLONE_NEWNET)), "join a network namespace")
            var spec = LaunchFixture.spec("ls /sys/class/net; cat /sys/class/net/eth7/mtu /sys/class/net/eth7/flags")
            spec.linux?.netDevices = ["data": .init(name: "eth7")]
            return try fixture.run(spec).lines
        }.value()
        #expect(outcome == ["eth7", "lo", "1400", "0x1003"])
    }

    @Test(
        "a container that fails leaves the host its devices",
        .enabled(if: LaunchFixture.isPossible, "needs busybox-static"))
    func failingContainer() throws {
        let fixture = try LaunchFixture()
        try makePair()
        let home = home
        try TestThread {
            try check(mlr_setns(home.rawValue, Int32(MLR_CLONE_NEWNET)), "join a network namespace")
            var spec = LaunchFixture.spec("")
            spec.process?.args = ["no-such-program"]
            spec.linux?.netDevices = ["data": .init(name: "eth7")]
            #expect(throws: LaunchError.self) { try fixture.run(spec) }
        }.value()
        #expect(try ip("addr show dev data", in: home).contains("10.9.8.7/24"))
    }
}
