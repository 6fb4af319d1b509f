import OCISpec
import Testing

@testable import mlrun

@Suite("Output")
struct OutputTests {
    @Test(
        "sizes have at most three digits",
        arguments: [
            (0, "0B"), (999, "999B"), (1000, "1kB"), (4_380_000, "4.38MB"), (123_456_789, "123MB"),
            (12_300_000_000, "12.3GB"),
        ])
    func bytes(count: Int64, text: String) {
        #expect(HumanUnits.bytes(count) == text)
    }

    @Test(
        "durations are written as people say them",
        arguments: [
            (0.00042, "0.42 ms"), (0.0123, "12.3 ms"), (0.34, "340 ms"), (1.239, "1.24 s"), (125.0, "2 min 5 s"),
        ])
    func durations(seconds: Double, text: String) {
        #expect(HumanUnits.duration(seconds) == text)
    }

    @Test(
        "ages are rough",
        arguments: [
            (0, "less than a second"), (1, "1 second"), (59, "59 seconds"), (60, "1 minute"), (3599, "59 minutes"),
            (3600, "60 minutes"), (7200, "2 hours"), (86400 * 3, "3 days"),
        ])
    func ages(seconds: Int64, text: String) {
        #expect(HumanUnits.roughly(seconds) == text)
    }

    @Test("columns are as wide as their widest cell")
    func table() {
        var table = Table(["A", "LONG"])
        table.add(["wide cell", "x"])
        #expect(table.text == "A           LONG\nwide cell   x\n")
    }

    @Test("what images and containers say cannot command the terminal that a listing is shown on")
    func hostileCells() {
        var table = Table(["A", "B"])
        table.add(["\u{1B}]0;owned\u{07}", "x\ny\u{9B}2J\u{202E}z"])
        #expect(table.text == "A                  B\n\\x1b]0;owned\\x07   x\\x0ay\\x9b2J\\u{202e}z\n")
        #expect(ShownText.lines("one\n\ttwo\u{1B}[1m\r") == "one\n\ttwo\\x1b[1m\\x0d")
        #expect(ShownText.lines("déjà vu 模型") == "déjà vu 模型")
    }

    private static let row: JSON = ["name": "a", "size": 3, "inner": ["port": 80], "tags": ["x", "y"]]

    @Test(
        "templates know fields, functions and escapes",
        arguments: [
            ("{{.Name}}", "a\n"), ("{{.name}}:{{.inner.port}}", "a:80\n"), ("{{json .tags}}", "[\"x\",\"y\"]\n"),
            ("{{.tags}}\\t{{len .tags}}", "x,y\t2\n"), ("{{upper .name}}!", "A!\n"),
            ("{{json .inner}}", "{\"port\":80}\n"), ("table {{.Name}}\\t{{.size}}", "NAME   SIZE\na      3\n"),
        ])
    func templates(template: String, text: String) throws {
        #expect(try FormatTemplate(template).render([Self.row]) == text)
    }

    @Test(
        "a template that is not understood says why",
        arguments: ["{{.Name", "{{range .}}", "{{Name}}", "{{foo .Name}}"])
    func badTemplates(template: String) {
        #expect(throws: CommandFailure.self) { try FormatTemplate(template) }
    }

    @Test("a field that is not there is an error that lists those that are")
    func missingField() throws {
        let template = try FormatTemplate("{{.Nmae}}")
        #expect { try template.render([Self.row]) } throws: { error in
            (error as? CommandFailure)?.remedy == "the fields are .name .size .inner .tags"
        }
    }
}
