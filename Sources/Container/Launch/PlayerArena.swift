internal import Glibc

/// Memory laid out for the C player: lives as long as the launch, freed as a whole.
final class PlayerArena {
    private var blocks: [UnsafeMutableRawPointer] = []

    deinit { for block in blocks { free(block) } }

    func string(_ text: String) -> UnsafePointer<CChar> {
        let bytes = Array(text.utf8) + [0]
        return UnsafePointer(copy(bytes.map { CChar(bitPattern: $0) }))
    }

    func strings(_ texts: [String]) -> UnsafePointer<UnsafePointer<CChar>?> {
        UnsafePointer(copy(texts.map { Optional(string($0)) } + [nil]))
    }

    /// A copy of an array; of an empty one still a valid address.
    func copy<Element>(_ elements: [Element]) -> UnsafeMutablePointer<Element> {
        let size = max(MemoryLayout<Element>.stride * elements.count, 16)
        guard let block = malloc(size) else { fatalError("out of memory") }
        blocks.append(block)
        let start = block.bindMemory(to: Element.self, capacity: elements.count)
        start.initialize(from: elements, count: elements.count)
        return start
    }
}
