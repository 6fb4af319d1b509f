import Foundation
import Testing

/// Reads the sources as text: whoever uses a library finds a comment at each public declaration.
@Suite("Documentation")
struct DocumentationTests {
    private static let libraries = [
        "LinuxSystem", "OCISpec", "Container", "Registry", "Trust", "ImageStore", "Gateway", "Serving", "MLRun",
    ]

    /// Said at a type whose members follow a specification name by name: those need no comment of their own.
    private static let bySpecification = " without a comment "

    private static let modifiers: Set<Substring> = [
        "public", "static", "final", "mutating", "consuming", "borrowing", "indirect", "convenience", "nonisolated",
        "private(set)", "internal(set)", "class",
    ]
    private static let types: Set<Substring> = ["struct", "class", "enum", "protocol", "actor", "extension"]
    private static let members: Set<Substring> = ["func", "var", "let", "subscript", "init", "typealias"]

    private struct Declaration {
        var keyword: Substring
        /// The first part of a name such as `RuntimeSpec.Mount`.
        var name: Substring
        var isPublic: Bool
        var depth: Int
        var comment: [Substring]
        /// Up to its body.
        var head = ""

        /// nil for a line that declares nothing.
        init?(_ code: Substring, depth: Int, comment: [Substring]) {
            // A word of the language ends at a blank, a name also where its type or parameters begin.
            var words = code.split(separator: " ")[...]
            let modified = words.prefix(while: modifiers.contains)
            words = words.dropFirst(modified.count)
            guard let word = words.first?.prefix(while: \.isLetter) else { return nil }
            // `class` is a modifier only before a function.
            let isClass = modified.last == "class" && !members.contains(word)
            guard isClass || types.contains(word) || members.contains(word) else { return nil }
            keyword = isClass ? "class" : word
            name = ((isClass ? words.first : words.dropFirst().first) ?? "").prefix { !".:({<".contains($0) }
            isPublic = modified.contains("public")
            self.depth = depth
            self.comment = comment
        }

        func with(head: String) -> Declaration {
            var copy = self
            copy.head = head
            return copy
        }

        /// What says by its form all there is to say: conversions to text and JSON, operators, and initializers that
        /// take what the documented members are and cannot fail.
        var isConventional: Bool {
            switch keyword {
            case "init": !head.contains("throws") || head.contains("_ cursor: JSONCursor")
            case "var": name == "json" || name == "description"
            case "func": name.first.map { !$0.isLetter } ?? true
            default: false
            }
        }
    }

    private static func declarations(in text: String) -> [Declaration] {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        var found: [Declaration] = []
        var comment: [Substring] = []
        for (index, line) in lines.enumerated() {
            let code = line.drop { $0 == " " }
            if code.hasPrefix("///") {
                comment.append(code)
                continue
            }
            // An attribute on a line of its own stands between a comment and what it is about.
            if code.hasPrefix("@"), !code.contains(" ") { continue }
            defer { comment = [] }
            guard let declaration = Declaration(code, depth: line.count - code.count, comment: comment) else {
                continue
            }
            let end = lines[index...].firstIndex { $0.contains("{") || $0.isEmpty } ?? index
            found.append(declaration.with(head: lines[index...end].joined(separator: " ")))
        }
        return found
    }

    private static let sources: [(path: String, declarations: [Declaration])] = libraries.flatMap { library in
        SourceFiles.of(library).map { ($0.path, declarations(in: $0.text)) }
    }

    /// The types whose members a specification describes.
    private static let models = Set(
        sources.flatMap(\.declarations).filter { declaration in
            types.contains(declaration.keyword) && declaration.comment.contains { $0.contains(bySpecification) }
        }.map { String($0.name) })

    @Test("every public declaration of a library has a comment")
    func everythingIsSaid() {
        #expect(Self.models.contains("RuntimeSpec"))
        var count = 0
        for source in Self.sources {
            var enclosing: [Declaration] = []
            for declaration in source.declarations {
                enclosing.removeAll { $0.depth >= declaration.depth }
                let isModel = enclosing.contains { Self.models.contains(String($0.name)) }
                if Self.types.contains(declaration.keyword) { enclosing.append(declaration) }
                guard declaration.isPublic, !isModel, !declaration.isConventional else { continue }
                count += 1
                #expect(!declaration.comment.isEmpty, "\(source.path): \(declaration.head)")
            }
        }
        #expect(count > 500, "the search itself must be broken")
    }
}
