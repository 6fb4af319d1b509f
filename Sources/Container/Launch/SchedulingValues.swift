internal import OCISpec

/// The numbers behind the names of sched_setattr(2), ioprio_set(2), personality(2) and set_mempolicy(2).
enum SchedulingValues {
    static let policies: [String: UInt32] = [
        "SCHED_OTHER": 0, "SCHED_FIFO": 1, "SCHED_RR": 2, "SCHED_BATCH": 3, "SCHED_ISO": 4, "SCHED_IDLE": 5,
        "SCHED_DEADLINE": 6,
    ]
    static let schedulerFlags: [String: UInt64] = [
        "SCHED_FLAG_RESET_ON_FORK": 0x01, "SCHED_FLAG_RECLAIM": 0x02, "SCHED_FLAG_DL_OVERRUN": 0x04,
        "SCHED_FLAG_KEEP_POLICY": 0x08, "SCHED_FLAG_KEEP_PARAMS": 0x10, "SCHED_FLAG_UTIL_CLAMP_MIN": 0x20,
        "SCHED_FLAG_UTIL_CLAMP_MAX": 0x40,
    ]
    static let ioClasses: [String: UInt64] = ["IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3]
    static let personalities: [String: UInt64] = ["LINUX": 0, "LINUX32": 8]
    /// The flags of personality(2). The specification names none; these are what the words can only mean.
    static let personalityFlags: [String: UInt64] = [
        "UNAME26": 0x0020000, "ADDR_NO_RANDOMIZE": 0x0040000, "FDPIC_FUNCPTRS": 0x0080000,
        "MMAP_PAGE_ZERO": 0x0100000, "ADDR_COMPAT_LAYOUT": 0x0200000, "READ_IMPLIES_EXEC": 0x0400000,
        "ADDR_LIMIT_32BIT": 0x0800000, "SHORT_INODE": 0x1000000, "WHOLE_SECONDS": 0x2000000,
        "STICKY_TIMEOUTS": 0x4000000, "ADDR_LIMIT_3GB": 0x8000000,
    ]
    static let memoryModes: [String: UInt64] = [
        "MPOL_DEFAULT": 0, "MPOL_PREFERRED": 1, "MPOL_BIND": 2, "MPOL_INTERLEAVE": 3, "MPOL_LOCAL": 4,
        "MPOL_PREFERRED_MANY": 5, "MPOL_WEIGHTED_INTERLEAVE": 6,
    ]
    static let memoryFlags: [String: UInt64] = [
        "MPOL_F_NUMA_BALANCING": 1 << 13, "MPOL_F_RELATIVE_NODES": 1 << 14, "MPOL_F_STATIC_NODES": 1 << 15,
    ]

    /// `struct sched_attr`, 56 bytes, as 64-bit words; unknown names are refused by the planner.
    static func attributes(_ scheduler: RuntimeSpec.Scheduler) -> [UInt64] {
        let policy = UInt64(policies[scheduler.policy] ?? 0)
        let flags = scheduler.flags.reduce(0) { $0 | (schedulerFlags[$1] ?? 0) }
        let nice = UInt64(UInt32(bitPattern: scheduler.nice ?? 0))
        let priority = UInt64(UInt32(bitPattern: scheduler.priority ?? 0))
        return [
            56 | policy << 32, flags, nice | priority << 32, scheduler.runtime ?? 0, scheduler.deadline ?? 0,
            scheduler.period ?? 0, 0,
        ]
    }

    static func ioPriority(_ priority: RuntimeSpec.IOPriority) -> UInt64 {
        (ioClasses[priority.ioClass] ?? 0) << 13 | UInt64(priority.priority)
    }

    static func personality(_ personality: RuntimeSpec.Personality) -> UInt64 {
        personality.flags.reduce(personalities[personality.domain] ?? 0) { $0 | (personalityFlags[$1] ?? 0) }
    }

    static func memoryPolicy(_ policy: RuntimeSpec.MemoryPolicy) -> UInt64 {
        policy.flags.reduce(memoryModes[policy.mode] ?? 0) { $0 | (memoryFlags[$1] ?? 0) }
    }
}
