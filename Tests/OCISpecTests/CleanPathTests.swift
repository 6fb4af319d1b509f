import OCISpec
import Testing

@Suite("Clean paths")
struct CleanPathTests {
    @Test(
        "a path comes to what Go's filepath.Clean makes of it below the root",
        arguments: [
            ("/a/../b", "/b"), ("/proc/", "/proc"), ("//proc", "/proc"), ("/proc/.", "/proc"), ("dev", "/dev"),
            ("./dev//x/", "/dev/x"), ("/", "/"), ("", "/"), (".", "/"), ("/..", "/"), ("../../a", "/a"),
            ("/a/b/../../../c/./d", "/c/d"), ("/a/..b/...", "/a/..b/..."), ("/b/a/\u{301}/..", "/b/a"),
        ])
    func clean(_ path: String, _ expected: String) { #expect(path.cleanPath == expected) }
}
