internal import LinuxSystem

/// The sizes of huge pages that this host has, written as the files of the hugetlb controller have them.
enum HugePageSizes {
    /// From the directories `hugepages-2048kB` of sysfs.
    static var ofHost: [String] {
        ((try? File.list("/sys/kernel/mm/hugepages")) ?? []).compactMap(name).sorted()
    }

    /// `hugepages-2048kB` as `2MB`.
    static func name(_ directory: String) -> String? {
        guard directory.hasPrefix("hugepages-"), directory.hasSuffix("kB"),
            let kilobytes = UInt64(directory.dropFirst("hugepages-".utf8.count).dropLast(2))
        else { return nil }
        if kilobytes >= 1 << 20, kilobytes % (1 << 20) == 0 { return "\(kilobytes >> 20)GB" }
        if kilobytes >= 1 << 10, kilobytes % (1 << 10) == 0 { return "\(kilobytes >> 10)MB" }
        return "\(kilobytes)KB"
    }
}
