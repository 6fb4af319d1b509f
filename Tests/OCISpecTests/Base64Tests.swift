import OCISpec
import Testing

@Suite struct Base64Tests {
    @Test("base64 goes both ways and refuses what is none")
    func bothWays() {
        let pairs = [
            ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ]
        for (plain, encoded) in pairs {
            #expect(Base64.encode(Array(plain.utf8)) == encoded)
            #expect(Base64.decode(encoded) == Array(plain.utf8))
            #expect(Base64.decode(encoded, .canonical) == Array(plain.utf8))
        }
        #expect(Base64.encode([0xFB, 0xFF]) == "+/8=")
        for text in ["Z", "Zg=x", "Zm9v!", "Zm 9v", "=Zg="] { #expect(Base64.decode(text) == nil, "\(text)") }
    }

    @Test("only the canonical form has one spelling for each content")
    func canonical() {
        // Without padding, with too much of it, and with bits that no byte uses.
        for text in ["Zg", "Zm9v====", "Zh=="] {
            #expect(Base64.decode(text) != nil, "\(text)")
            #expect(Base64.decode(text, .canonical) == nil, "\(text)")
        }
    }
}
