import Testing

@testable import OCISpec

@Suite("YAML")
struct YAMLTests {
    @Test(
        "what files are written in reads as the same JSON",
        arguments: [
            ("a: 1\nb: two\n", #"{"a":1,"b":"two"}"#),
            ("---\na:\n  - 1\n  - x: v\n    z: \"w\"\n  -\n    - q\n", #"{"a":[1,{"x":"v","z":"w"},["q"]]}"#),
            ("a:\n- 1\n- 2\nb: 3\n", #"{"a":[1,2],"b":3}"#),
            ("- - a\n  - b\n- c\n", #"[["a","b"],"c"]"#),
            ("a: [1, 'x y', \"z\", {b: c, d: }]\n", #"{"a":[1,"x y","z",{"b":"c","d":null}]}"#),
            ("a: {b: [\n  1, # one\n  2\n ]}\n", #"{"a":{"b":[1,2]}}"#),
            ("# c\n\na: b # c\n'c d': 'it''s'\n", #"{"a":"b","c d":"it's"}"#),
            ("a: \"\\u00e4\\n\\x41\"\n", #"{"a":"ä\nA"}"#),
            (
                "v: 0.5.0\nn: -3\no: 0660\nx: 0x1F\nf: 1.5\nt: true\ne: ~\n",
                #"{"v":"0.5.0","n":-3,"o":432,"x":31,"f":1.5,"t":true,"e":null}"#
            ),
            ("u: unix:/a/b:c\nh: a#b\nd: -x\n", #"{"u":"unix:/a/b:c","h":"a#b","d":"-x"}"#),
            ("a:\nb:\n  c:\n", #"{"a":null,"b":{"c":null}}"#),
            ("a: []\nb: {}\n", #"{"a":[],"b":{}}"#),
            ("", "null"), ("just text\n", #""just text""#), ("a: b\r\nc: d\r\n", #"{"a":"b","c":"d"}"#),
            ("big: 18446744073709551615\n", #"{"big":18446744073709551615}"#),
        ])
    func reads(text: String, json: String) throws {
        #expect(try JSON(parsingYAML: text) == JSON(parsing: json))
    }

    @Test(
        "what is not supported, or means different things to different readers, is refused with its place",
        arguments: [
            ("a: &x 1\n", "line 1, column 4: an anchor"), ("a: *x\n", "an alias"), ("a: !!str 1\n", "a tag"),
            ("a: |\n  x\n", "line 1, column 4: a text over several lines"), ("a:\n  b: >-\n", "line 2, column 6"),
            ("<<: {a: b}\n", "a merge key"), ("a: 1\n---\nb: 2\n", "line 2, column 1: a second document"),
            ("%YAML 1.2\n---\n", "a directive"), ("a: yes\n", "\"yes\" means a truth value"), ("a: Off\n", "in quotes"),
            ("a: 1\na: 2\n", "line 2, column 1: the member \"a\" appears twice"), ("\ta: 1\n", "a tab"),
            ("a: 1\n  b: 2\n", "line 2, column 3"), ("a:\n  b: 1\n c: 2\n", "line 3, column 2"),
            ("- a\nb: c\n", "line 2"), ("a: b: c\n", "a colon"), ("a: 'x\n  y'\n", "over several lines"),
            ("a: \"x\n", "over several lines"), ("a: 'x", "does not end"), ("a: [1, 2\n", "not closed"),
            ("a: [1 2]\nb", "a member's name"), ("a: {b: 1, b: 2}\n", "appears twice"), ("a: \"\\q\"\n", "an escape"),
            ("a: @x\n", "put a text in quotes"), ("? a\n: b\n", "a complex key"), ("a: x\n...\n", "\"...\""),
            ("a: one\n  two\n", "texts over several lines"), ("a: - b\n", "a list within a line"),
        ])
    func refuses(text: String, what: String) {
        let error = #expect(throws: JSONError.self) { _ = try JSON(parsingYAML: text) }
        #expect(error?.message.contains(what) == true, "\(error as Any)")
        #expect(error?.message.hasPrefix("invalid YAML at line ") == true)
    }

    @Test("depth is limited")
    func depth() {
        #expect(throws: JSONError.self) { try JSON(parsingYAML: String(repeating: "[", count: 100_000)) }
        #expect(throws: JSONError.self) { try JSON(parsingYAML: String(repeating: "- ", count: 5000) + "x") }
        var text = ""
        for level in 0..<200 { text += String(repeating: " ", count: level) + "a:\n" }
        #expect(throws: JSONError.self) { try JSON(parsingYAML: text) }
    }
}
