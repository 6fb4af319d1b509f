import OCISpec
import Testing

@Suite("JSON")
struct JSONTests {
    @Test("a document is read and written back the same")
    func roundTrip() throws {
        let text = #"{"a":[1,-2,18446744073709551615,1.5,true,false,null],"b":{"c":"x\ny\"\\"},"e":{},"f":[]}"#
        #expect(try JSON(parsing: text).text() == text)
    }

    @Test("integers stay exact to both ends of 64 bits")
    func exactIntegers() throws {
        let json = try JSON(parsing: "[9223372036854775807,-9223372036854775808,18446744073709551615]")
        #expect(json == [.integer(.max), .integer(.min), .unsigned(.max)])
    }

    @Test("escapes give the characters they stand for")
    func escapes() throws {
        #expect(try JSON(parsing: #""\u00e9\ud83d\ude00\t\/""#) == "é😀\t/")
    }

    @Test(
        "what RFC 8259 does not allow is refused with line and column",
        arguments: [
            "", "{", "[1,]", "{\"a\":1,}", "{a:1}", "01", "1.", ".5", "+1", "1e", "nul", "\"\u{1}\"", "\"\\x\"",
            "\"\\ud800\"", "\"\\ud800\\u0041\"", "[1] 2", "{\"a\":1,\"a\":2}", "'x'", "\"open", "NaN", "1e999",
            "\"\\u+123\"",
        ])
    func refused(text: String) {
        #expect { try JSON(parsing: text) } throws: { error in
            (error as? JSONError)?.message.hasPrefix("invalid JSON at line 1, column") ?? false
        }
    }

    @Test("the place of an error counts lines")
    func lineNumbers() {
        #expect { try JSON(parsing: "{\n  \"a\": 1,\n  \"b\": x\n}") } throws: { error in
            (error as? JSONError)?.message == "invalid JSON at line 3, column 8: a value is expected here"
        }
    }

    @Test("invalid UTF-8 is refused")
    func invalidUTF8() {
        #expect(throws: JSONError.self) { try JSON(parsing: [0x22, 0xFF, 0x22]) }
    }

    @Test("no text can bring a command for the terminal through a document")
    func controls() throws {
        let hostile: JSON = .string("\u{1B}[2J\u{9B}31m\u{7F}\u{80}\u{9F}\u{A0}é")
        #expect(hostile.text() == #""\u001b[2J\u009b31m\u007f\u0080\u009f"# + "\u{A0}é\"")
        #expect(try JSON(parsing: hostile.text()) == hostile)
    }

    @Test("nesting has an end, so no document can exhaust the stack")
    func deepNesting() {
        let deep = String(repeating: "[", count: 100_000)
        #expect { try JSON(parsing: deep) } throws: { error in
            (error as? JSONError)?.message.hasSuffix("nested deeper than 128 levels") ?? false
        }
    }

    @Test("an error in a model carries the path of the member")
    func cursorPaths() throws {
        let document = JSONCursor(try JSON(parsing: #"{"layers":[{"size":-1},{"size":"x"}]}"#))
        let layers = try document.required("layers").elements()
        #expect(throws: JSONError(path: "layers[1].size", message: "an integer is expected, but it is a string")) {
            let _: Int = try layers[1].required("size").integer()
        }
        #expect(throws: JSONError(path: "layers[0].size", message: "is out of range (0 to 255)")) {
            let _: UInt8 = try layers[0].required("size").integer()
        }
        #expect(throws: JSONError(path: "config", message: "is missing")) { try document.required("config") }
    }

    @Test("mutations of a valid document never crash the parser")
    func mutations() throws {
        let seed = Array(#"{"a":[1,-2.5e3,"\u00e9\ud83d\ude00",true,null],"b":{"c":{"d":[]}}}"#.utf8)
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<20_000 {
            var bytes = seed
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let index = Int.random(in: 0..<bytes.count, using: &generator)
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: bytes[index] = UInt8.random(in: 0...255, using: &generator)
                case 1: bytes.remove(at: index)
                default: bytes.insert(UInt8.random(in: 0...255, using: &generator), at: index)
                }
            }
            guard let json = try? JSON(parsing: bytes) else { continue }
            #expect(try JSON(parsing: json.bytes()) == json)
        }
    }
}
