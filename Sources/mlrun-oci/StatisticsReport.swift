import Container
import LinuxSystem
import OCISpec

/// A container's figures in the form that runc gives them and its callers read (`events --stats`).
enum StatisticsReport {
    static func json(_ cgroup: ContainerCgroup, process: Int32) throws(CgroupError) -> JSON {
        var data = try cgroup.statistics().eventData
        let interfaces = networkInterfaces((try? File.readText("/proc/\(process)/net/dev")) ?? "")
        data["network_interfaces"] = .array(interfaces)
        return .object(data)
    }

    /// proc_pid_net(5), `dev`: the container's interfaces but loopback.
    static func networkInterfaces(_ text: String) -> [JSON] {
        text.split(separator: "\n").compactMap { line in
            guard let colon = line.firstIndex(of: ":") else { return nil }
            let name = line[..<colon].drop { $0 == " " }
            let numbers = line[line.index(after: colon)...].split(separator: " ").compactMap { UInt64($0) }
            guard name != "lo", numbers.count >= 12 else { return nil }
            return [
                "Name": .string(String(name)), "RxBytes": .unsigned(numbers[0]), "RxPackets": .unsigned(numbers[1]),
                "RxErrors": .unsigned(numbers[2]), "RxDropped": .unsigned(numbers[3]),
                "TxBytes": .unsigned(numbers[8]), "TxPackets": .unsigned(numbers[9]),
                "TxErrors": .unsigned(numbers[10]), "TxDropped": .unsigned(numbers[11]),
            ]
        }
    }
}
