import ArgumentParser
internal import OCISpec

/// How a listing is printed: a table, names only, JSON, or through a template.
struct ListOptions: ParsableArguments {
    enum Format: String, ExpressibleByArgument, CaseIterable {
        case table, json
    }

    @Flag(name: [.short, .long], help: "Print only names.")
    var quiet = false

    @Option(name: [.customShort("o"), .long], help: ArgumentHelp("How to print the list.", valueName: "format"))
    var output = Format.table

    @Option(
        help: ArgumentHelp(
            "Print each through a Go template, such as '{{.Name}}', 'table {{.Name}}\\t{{.Status}}' or json.",
            valueName: "template"))
    var format: String?

    /// Prints rows given once as JSON objects.
    func show(
        _ rows: [JSON], name: (JSON) -> String, titles: [String], cells: (JSON) -> [String]
    ) throws(CommandFailure) {
        if quiet {
            for row in rows { Output.line(name(row)) }
        } else if let format, format != "json" {
            Output.text(try FormatTemplate(format).render(rows))
        } else if format == "json" {
            for row in rows { Output.line(row.text()) }
        } else if output == .json {
            Output.json(.array(rows))
        } else {
            var table = Table(titles)
            for row in rows { table.add(cells(row)) }
            Output.text(table.text)
        }
    }
}
