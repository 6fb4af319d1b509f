import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import Serving

@Suite("ranges of host ids")
struct HostIDTests {
    private let nobodys = SubordinateIDs(users: .init(parsing: ""), groups: .init(parsing: ""))

    /// A host whose registry and root directories lie in a place of the test's own.
    private func registry(
        _ place: TemporaryDirectory, _ root: String, _ use: HostIDRegistry.Use = .services, _ ids: SubordinateIDs? = nil
    ) -> HostIDRegistry {
        HostIDRegistry(
            MLRunDirectories(root: "\(place.path)/\(root)", state: "\(place.path)/state"), use,
            directory: "\(place.path)/ids", subordinates: ids ?? nobodys)
    }

    @Test("several mlruns of a host, and both uses of one, have nothing in common, and each finds its own again")
    func apart() throws {
        let place = try TemporaryDirectory()
        let all = [
            registry(place, "one"), registry(place, "two"), registry(place, "one", .foreground), registry(place, "two"),
        ]
        var seen: Set<Int> = []
        for registry in all {
            let block = try registry.acquire()
            #expect(block.count == HostIDRegistry.blockSize)
            #expect(seen.isDisjoint(with: block))
            seen.formUnion(block)
        }
        #expect(try registry(place, "one").owned() == Array(0..<16))
        #expect(try registry(place, "two").owned() == Array(16..<32) + Array(48..<64))
        #expect(try registry(place, "one", .foreground).owned() == Array(32..<48))
        #expect(try registry(place, "three").owned().isEmpty)
    }

    @Test("a pool grows by blocks, gives freed ranges again, and keeps what replicas had before")
    func pool() throws {
        let place = try TemporaryDirectory()
        var pool = try SlotPool(registry(place, "one"))
        var other = try SlotPool(registry(place, "two"))
        let first = try (0..<16).map { _ in try pool.take() }
        #expect(first == Array(0..<16))
        #expect(try other.take() == 16)
        #expect(try pool.take() == 32)
        pool.free(5)
        #expect(try pool.take() == 5)
        var successor = try SlotPool(registry(place, "one"))
        for slot in 0..<16 { try successor.claim(slot) }
        try successor.claim(32)
        #expect(try successor.take() == 33)
        // From before there was a registry: its block is taken if nobody has it.
        try successor.claim(100)
        #expect(try registry(place, "one").owned().contains(100))
        let error = #expect(throws: ControlError.self) { try successor.claim(17) }
        #expect(error?.message.contains("\(place.path)/two") == true, "\(error?.message ?? "")")
    }

    @Test(
        "when a root directory is gone, or another one of its name, its ranges may be taken over by who had files there"
    )
    func gone() throws {
        let place = try TemporaryDirectory()
        _ = try registry(place, "one").acquire()
        try File.removeTree("\(place.path)/one")
        // Its disk may only be unmounted: as long as there are others, they are left alone.
        #expect(try registry(place, "two").acquire().first == 16)
        #expect(try registry(place, "two").acquire(holding: 3) == Array(0..<16))
    }

    @Test("racing mlruns never get the same")
    func race() async throws {
        let place = try TemporaryDirectory()
        let blocks = try await withThrowingTaskGroup(of: [Int].self) { group in
            for number in 0..<16 {
                let registry = registry(place, "root\(number % 4)", number % 2 == 0 ? .services : .foreground)
                group.addTask { try registry.acquire() }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        #expect(blocks.count == 256 && Set(blocks).count == 256)
    }

    @Test("what /etc/subuid gives to others is left out, and what it gives to mlrun is all that is used")
    func subordinates() throws {
        let place = try TemporaryDirectory()
        let others = SubordinateIDs(
            users: .init(parsing: "alice:524288:65536\nbob:600000:65536\n"), groups: .init(parsing: ""))
        // Bob's range lies across two.
        #expect(try registry(place, "one", .services, others).acquire() == Array(3..<16))
        let own = SubordinateIDs(
            users: .init(parsing: "mlrun:10000000:131072\nalice:100000:65536"),
            groups: .init(parsing: "mlrun:9000000:2000000"))
        var pool = try SlotPool(registry(place, "two", .services, own))
        let slot = try pool.take()
        let range = HostSnapshot.userRange(slot)
        #expect(range.hostID >= 10_000_000 && range.hostID + range.size <= 10_131_072)
        let error = #expect(throws: ControlError.self) { try pool.take() }
        #expect(error?.message.contains("/etc/subuid") == true, "\(error?.message ?? "")")
    }

    @Test("broken lines of /etc/subuid are nobody's")
    func brokenLines() {
        let table = SubordinateIDs.Table(
            parsing: "# a:1:2\n\nalice\nalice:x:65536\nalice:1:-2\nalice:99999999999:5\nmlrun:5:0\nmlrun:1000:2000")
        #expect(table.foreign.isEmpty)
        #expect(table.own == [1000..<3000])
    }

    @Test("a damaged or unwritable registry is named, and what to do")
    func damaged() throws {
        let place = try TemporaryDirectory()
        _ = try registry(place, "one").acquire()
        let file = "\(place.path)/ids/blocks.json"
        try File.replace(file, with: Array("{\"blocks\":[{\"block\":0}]}".utf8), durable: false)
        let error = #expect(throws: ControlError.self) { try registry(place, "one").owned() }
        #expect(
            error?.message.contains(file) == true && error?.message.contains("use") == true, "\(error?.message ?? "")")
        #expect(error?.remedy != nil)
        try File.removeTree("\(place.path)/ids")
        try File.replace("\(place.path)/ids", with: [], durable: false)
        let blocked = #expect(throws: ControlError.self) { try registry(place, "one").owned() }
        #expect(blocked?.message.contains("\(place.path)/ids") == true)
    }
}
