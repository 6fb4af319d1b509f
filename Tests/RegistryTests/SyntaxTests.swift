import Testing

@testable import Registry

@Suite struct SyntaxTests {
    @Test("URLs are taken apart strictly")
    func urls() throws {
        let plain = try #require(WebAddress(parsing: "HTTPS://Registry.Example:5000/v2/x?a=b#part"))
        #expect(plain.text == "https://registry.example:5000/v2/x?a=b")
        #expect(WebAddress(parsing: "http://host")?.target == "/")
        #expect(WebAddress(parsing: "http://host?x=1")?.target == "/?x=1")
        #expect(WebAddress(parsing: "http://[::1]:5000/")?.host == "::1")
        #expect(WebAddress(parsing: "http://[::1]:5000/")?.text == "http://[::1]:5000/")
        #expect(WebAddress(parsing: "https://host:443/")?.origin == "https://host")
        for text in [
            "", "host", "ftp://host/", "http:///x", "http://", "http://user@host/", "http://user:pass@host/",
            "http://host:0/", "http://host:65536/", "http://host:+5/", "http://ho st/", "http://host/a b",
            "http://host/\r\nX: y", "http://[host]/", "http://[::1/", "http://host\\@evil/", "http://hôst/",
        ] { #expect(WebAddress(parsing: text) == nil, "\(text)") }
    }

    @Test("a Location is resolved against where it came from")
    func locations() throws {
        let base = try #require(WebAddress(parsing: "https://a.example/v2/x/blobs/y?q"))
        #expect(base.resolving("/z?k=v")?.text == "https://a.example/z?k=v")
        #expect(base.resolving("z")?.text == "https://a.example/v2/x/blobs/z")
        #expect(base.resolving("?k")?.text == "https://a.example/v2/x/blobs/y?k")
        #expect(base.resolving("//b.example/z")?.text == "https://b.example/z")
        #expect(base.resolving("http://b.example/z")?.text == "http://b.example/z")
        #expect(base.resolving("/go?to=http://b.example")?.host == "a.example")
        #expect(base.resolving("javascript://x") == nil)
    }

    @Test("only this machine's own addresses count as loopback")
    func loopback() {
        for host in ["localhost", "127.0.0.1", "127.9.8.7", "::1"] { #expect(WebAddress.isLoopback(host), "\(host)") }
        for host in ["127.0.0.1.evil.example", "127.1", "localhost.evil.example", "128.0.0.1", "127.0.0.256", "::2"] {
            #expect(!WebAddress.isLoopback(host), "\(host)")
        }
    }

    @Test("challenges are parsed whatever their spelling, several in a header or several headers")
    func challenges() {
        let bearer = AuthenticationChallenge.parse([
            #"Bearer realm="https://auth.example/token", service="s \"q\", x",scope="repository:a:pull,push""#
        ])
        #expect(
            bearer == [
                AuthenticationChallenge(
                    scheme: "bearer",
                    parameters: [
                        "realm": "https://auth.example/token", "service": #"s "q", x"#,
                        "scope": "repository:a:pull,push",
                    ])
            ])
        let two = AuthenticationChallenge.parse([#"Basic realm="a", BEARER Realm=b ,service=c"#, "Negotiate"])
        #expect(two.map(\.scheme) == ["basic", "bearer", "negotiate"])
        #expect(two[1].parameters == ["realm": "b", "service": "c"])
        #expect(AuthenticationChallenge.parse([]).isEmpty)
        #expect(AuthenticationChallenge.parse([#"Bearer realm="unfinished"#]).first?.parameters.isEmpty == true)
    }

    @Test("a registry's error body is told without control characters")
    func errorBodies() {
        let body = Array(#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow\ndown\u001b[31m"}]}"#.utf8)
        #expect(AnswerFailure.reason(body) == "toomanyrequests, slowdown[31m")
        #expect(AnswerFailure.reason(Array("<html>".utf8)) == nil)
        #expect(AnswerFailure.reason(Array(#"{"errors":[]}"#.utf8)) == nil)
    }
}
