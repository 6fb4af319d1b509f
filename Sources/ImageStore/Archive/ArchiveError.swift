/// Why a tar archive was refused: the entry, where it stands, and the rule it breaks.
public struct ArchiveError: Error, Sendable, Equatable {
    /// The entry's name as the archive has it, made printable; nil where the name could not be read.
    public let entry: String?
    /// Bytes from the start of the archive to the header that was being read.
    public let offset: Int64
    /// What is wrong there.
    public let problem: Problem

    /// A rule of the format, or one for untrusted archives.
    public enum Problem: Error, Sendable, Equatable {
        case badChecksum
        case badNumber(field: String)
        case sizeOutOfBounds
        case truncated
        case loneZeroBlock
        case unsupportedType(UInt8)
        case tooManyEntries(limit: Int)
        case tooManyNodes(limit: Int)
        case namesTooLarge(limit: Int)
        case attributesTooLarge(limit: Int)
        case headerTooLarge(limit: Int)
        case headersTooLarge(limit: Int)
        case badRecord(reason: String)
        case badSparseMap(reason: String)
        case emptyName
        case parentDirectory
        case nulInName
        case nameTooLong(limit: Int)
        case pathTooLong(limit: Int)
        case pathTooDeep(limit: Int)
        case parentNotDirectory(String)
        case tooManySymbolicLinks
        case badWhiteout
        case rootNotDirectory
        case emptyLinkTarget
        case linkTargetMissing(String)
        case linkTargetIsDirectory(String)
        case linkToItself
        case deviceNode
        case socket
        case extendedAttributesTooLarge(limit: Int)
        case badExtendedAttribute(String)
        case expandsTooMuch(limit: Int64)
        case fileTooLarge(limit: Int64)
    }

    public init(entry: String?, offset: Int64, _ problem: Problem) {
        self.entry = entry
        self.offset = offset
        self.problem = problem
    }
}

extension ArchiveError: CustomStringConvertible {
    public var description: String {
        if let entry { return "entry \"\(entry)\" at byte \(offset): \(problem)" }
        return "header at byte \(offset): \(problem)"
    }
}

extension ArchiveError.Problem: CustomStringConvertible {
    public var description: String {
        switch self {
        case .badChecksum: "its header checksum is wrong"
        case .badNumber(let field): "its field \(field) is no number in range"
        case .sizeOutOfBounds: "its size is negative or beyond all bounds"
        case .truncated: "the archive ends in the middle of it"
        case .loneZeroBlock: "a single zero block stands before it, where an archive ends with two"
        case .unsupportedType(let type):
            "its type '\((0x21...0x7E).contains(type) ? String(UnicodeScalar(type)) : "\\\(type)")' is not supported"
        case .tooManyEntries(let limit): "the archive has more than \(limit) entries"
        case .tooManyNodes(let limit):
            "with it the layer has more than \(limit) files and directories, parents that are not listed included"
        case .namesTooLarge(let limit): "with it the names and link targets of the layer exceed \(limit) bytes"
        case .attributesTooLarge(let limit): "with it the extended attributes of the layer exceed \(limit) bytes"
        case .headerTooLarge(let limit): "its extended header is larger than \(limit) bytes"
        case .headersTooLarge(let limit): "the extended headers of the archive exceed \(limit) bytes in total"
        case .badRecord(let reason): "its extended header is malformed: \(reason)"
        case .badSparseMap(let reason): "its map of a sparse file is malformed: \(reason)"
        case .emptyName: "its name is empty"
        case .parentDirectory: "its name contains \"..\""
        case .nulInName: "its name contains a NUL byte"
        case .nameTooLong(let limit): "a component of its name is longer than \(limit) bytes"
        case .pathTooLong(let limit): "its name is longer than \(limit) bytes"
        case .pathTooDeep(let limit): "its name is more than \(limit) directories deep"
        case .parentNotDirectory(let parent): "its parent \"\(parent)\" is no directory in this layer"
        case .tooManySymbolicLinks: "its parent runs through too many symbolic links"
        case .badWhiteout: "it is a whiteout that names nothing"
        case .rootNotDirectory: "it replaces the root directory by something else"
        case .emptyLinkTarget: "its link target is empty"
        case .linkTargetMissing(let target): "it is a hard link to \"\(target)\", which this layer does not contain"
        case .linkTargetIsDirectory(let target): "it is a hard link to \"\(target)\", which is no file"
        case .linkToItself: "it is a hard link to itself"
        case .deviceNode: "it is a device node; devices are given to containers by mlrun, never by images"
        case .socket: "it is a socket"
        case .extendedAttributesTooLarge(let limit): "its extended attributes exceed \(limit) bytes"
        case .badExtendedAttribute(let name): "its extended attribute \"\(name)\" has a malformed name or value"
        case .expandsTooMuch(let limit):
            "with holes filled and attributes written out the layer exceeds the limit of \(limit) bytes"
        case .fileTooLarge(let limit): "it is larger than \(limit) bytes"
        }
    }
}
