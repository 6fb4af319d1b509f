internal import OCISpec

/// What of the specification this runtime understands, as the tables that it works by (runtime-spec, features-linux.md).
public enum SupportedFeatures {
    /// Option strings of mounts.
    public static let mountOptions = MountOption.table.keys.sorted()
    /// Kinds of namespaces.
    public static let namespaces = RuntimeSpec.Namespace.Kind.allCases.map(\.rawValue).sorted()
    /// Capabilities that this kernel has too; `last` is the number of its newest.
    public static func capabilities(upTo last: UInt8) -> [String] { CapabilitySet.all.upTo(last).names }
    /// Hooks in the order of a container's life.
    public static let hooks = [
        "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop",
    ]
    /// Architectures of system call filters.
    public static let seccompArchitectures = SeccompNames.architectures.keys.sorted()
    /// Actions of system call filters.
    public static let seccompActions = SeccompNames.actions.sorted()
    /// Comparisons of arguments of system calls.
    public static let seccompOperators = SeccompNames.operators.keys.sorted()
    /// Flags of seccomp(2); ``SeccompFilter/supportedFlags()`` are those that this kernel takes.
    public static let seccompFlags = SeccompNames.flags.map(\.name).sorted()
    /// Modes of set_mempolicy(2).
    public static let memoryPolicyModes = SchedulingValues.memoryModes.keys.sorted()
    /// Flags of set_mempolicy(2).
    public static let memoryPolicyFlags = SchedulingValues.memoryFlags.keys.sorted()
    /// Policies of sched_setattr(2).
    public static let schedulerPolicies = SchedulingValues.policies.keys.sorted()
    /// Flags of sched_setattr(2).
    public static let schedulerFlags = SchedulingValues.schedulerFlags.keys.sorted()
    /// Resource limits of setrlimit(2).
    public static let resourceLimits = RuntimeSpec.ResourceLimit.numbers.keys.sorted()
}
