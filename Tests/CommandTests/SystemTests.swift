import Testing

@testable import mlrun

@Suite("What to prune")
struct SystemTests {
    @Test(
        "a filter names an age, a time or seconds since 1970",
        arguments: [
            ("until=24h", 1_000_000 - 86400), ("until=1h30m", 1_000_000 - 5400), ("until=90", 90),
            ("until=1970-01-02T00:00:00Z", 86400), ("until=1970-01-02T00:00:00.5+01:00", 82800),
        ] as [(String, Int64)])
    func filters(_ text: String, _ time: Int64) throws {
        #expect(try PruneOptions.before(text, now: 1_000_000) == time)
    }

    @Test(
        "another filter is refused by name",
        arguments: ["until", "until=", "until=soon", "label=x", "", "=", "until=-1", "until=24 h"])
    func refused(_ text: String) {
        do throws(CommandFailure) {
            _ = try PruneOptions.before(text, now: 0)
            Issue.record("\(text) was taken")
        } catch {
            #expect(error.message.contains("--filter") && error.remedy?.contains("until=") == true)
        }
    }
}
