internal import CLinux
internal import OCISpec

extension RuntimeSpec.Namespace.Kind {
    /// The CLONE_NEW* flag.
    var cloneFlag: UInt64 {
        switch self {
        case .pid: UInt64(MLR_CLONE_NEWPID)
        case .network: UInt64(MLR_CLONE_NEWNET)
        case .mount: UInt64(MLR_CLONE_NEWNS)
        case .ipc: UInt64(MLR_CLONE_NEWIPC)
        case .uts: UInt64(MLR_CLONE_NEWUTS)
        case .user: UInt64(MLR_CLONE_NEWUSER)
        case .cgroup: UInt64(MLR_CLONE_NEWCGROUP)
        case .time: UInt64(MLR_CLONE_NEWTIME)
        }
    }

    /// Its name in /proc/<pid>/ns.
    var link: String {
        switch self {
        case .network: "net"
        case .mount: "mnt"
        default: rawValue
        }
    }
}
