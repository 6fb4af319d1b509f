import OCISpec
import Testing

@Suite struct StringPartTests {
    @Test(
        "a part is found at the beginning, in the middle and at the end, and only as a whole",
        arguments: [
            ("eth%d", "%d", true), ("%d", "%d", true), ("eth%", "%d", false), ("%e%d0", "%d", true),
            ("d%", "%d", false), ("", "%d", false), ("eth0", "", true), ("größe", "öß", true), ("aab", "ab", true),
        ])
    func parts(text: String, part: String, isThere: Bool) {
        #expect(text.hasPart(part) == isThere)
        #expect(Substring(text).hasPart(part) == isThere)
    }
}
