/// The system calls of ``DefaultSeccompProfile``, in groups that share a reason.
enum SeccompGroups {
    struct Group: Sendable {
        let why: String
        let calls: [String]

        init(_ why: String, _ calls: String) {
            self.why = why
            self.calls = calls.split(whereSeparator: \.isWhitespace).map(String.init)
        }
    }

    /// Allowed to every container.
    static let always: [Group] = [
        Group(
            "Files and directories by name or descriptor.",
            """
            access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2
            fadvise64 fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64
            fdatasync flock fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futimesat getcwd
            getdents getdents64 ioctl lchown lchown32 link linkat _llseek lseek lstat lstat64 mkdir mkdirat mknod
            mknodat newfstatat open openat openat2 readahead readlink readlinkat rename renameat renameat2 rmdir stat
            stat64 statfs statfs64 statx symlink symlinkat sync sync_file_range syncfs truncate truncate64 umask unlink
            unlinkat utime utimensat utimensat_time64 utimes
            """),
        Group(
            "Reading mount tables and turning a name into a handle; opening by handle needs a capability.",
            """
            listmount name_to_handle_at statmount
            """),
        Group(
            "Reading, writing and moving bytes.",
            """
            pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readv sendfile sendfile64 splice tee
            vmsplice write writev
            """),
        Group(
            "Extended attributes: which ones may be set is the kernel's own check.",
            """
            fgetxattr flistxattr fremovexattr fsetxattr getxattr getxattrat lgetxattr listxattr listxattrat llistxattr
            lremovexattr lsetxattr removexattr removexattrat setxattr setxattrat
            """),
        Group(
            "Waiting for events, and being told of changes of files.",
            """
            epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old
            eventfd eventfd2 fanotify_mark inotify_add_watch inotify_init inotify_init1 inotify_rm_watch _newselect poll
            ppoll ppoll_time64 pselect6 pselect6_time64 select signalfd signalfd4
            """),
        Group(
            "Asynchronous input and output of old; io_uring is left out for its history of holes.",
            """
            io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit ioprio_get
            ioprio_set
            """),
        Group(
            "The process's own memory.",
            """
            brk cachestat madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall
            mmap mmap2 mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect
            process_mrelease remap_file_pages
            """),
        Group(
            "Where the process's own memory lies among NUMA nodes: servers of large models are several times slower without.",
            """
            get_mempolicy mbind set_mempolicy set_mempolicy_home_node
            """),
        Group(
            "Processes and threads; clone has a rule of its own.",
            """
            execve execveat exit exit_group fork get_robust_list get_thread_area getpgid getpgrp getpid getppid getsid
            gettid kill pidfd_open pidfd_send_signal prctl restart_syscall riscv_hwprobe rseq set_robust_list
            set_thread_area set_tid_address setpgid setsid tgkill tkill uretprobe vfork wait4 waitid waitpid
            """),
        Group(
            "Tracing: since Linux 4.8 the filter is applied after a tracer's changes, so that none gets round it.",
            """
            process_vm_readv process_vm_writev ptrace
            """),
        Group(
            "Synchronisation.",
            """
            futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake
            """),
        Group(
            "Signals.",
            """
            alarm pause rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend
            rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack sigprocmask sigreturn
            """),
        Group(
            "Who the process is; the kernel's capability checks decide what it may become.",
            """
            capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid
            getresgid32 getresuid getresuid32 getuid getuid32 setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32
            setgroups setgroups32 setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32
            setuid setuid32
            """),
        Group(
            "Giving up rights: a process may always confine itself further.",
            """
            landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp
            """),
        Group(
            "Scheduling, limits and accounts of the process.",
            """
            getcpu getpriority getrlimit getrusage prlimit64 sched_get_priority_max sched_get_priority_min
            sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval
            sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield
            setpriority setrlimit times ugetrlimit
            """),
        Group(
            "Clocks and timers; setting a clock needs a capability.",
            """
            adjtimex clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64
            clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time timer_create
            timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create
            timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64
            """),
        Group(
            "Sockets that exist; making one has a rule of its own.",
            """
            accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64
            recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair
            """),
        Group(
            "System V and POSIX messages, semaphores and shared memory, all private to the IPC namespace.",
            """
            ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64
            mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt
            shmget
            """),
        Group(
            "Facts about the machine that a container shows anyway.",
            """
            getrandom sysinfo uname
            """),
    ]

    /// Calls that only some machines have, by the machine.
    static let byArchitecture: [(machines: Set<String>, calls: [String])] = [
        (["x86_64"], ["arch_prctl", "modify_ldt"]),
        (
            ["aarch64"],
            ["arm_fadvise64_64", "arm_sync_file_range", "sync_file_range2", "breakpoint", "cacheflush", "set_tls"]
        ),
        (["ppc64le"], ["sync_file_range2", "swapcontext"]),
        (["s390x"], ["s390_pci_mmio_read", "s390_pci_mmio_write", "s390_runtime_instr"]),
        (["riscv64"], ["riscv_flush_icache"]),
    ]

    /// Calls that do harm without the capability that the kernel asks for, which then is what decides.
    static let byCapability: [(capability: Capability, calls: [String])] = [
        (.dacReadSearch, ["open_by_handle_at"]),
        (
            .sysAdmin,
            [
                "bpf", "clone", "clone3", "fanotify_init", "fsconfig", "fsmount", "fsopen", "fspick", "lookup_dcookie",
                "lsm_get_self_attr", "lsm_list_modules", "lsm_set_self_attr", "mount", "mount_setattr", "move_mount",
                "open_tree", "perf_event_open", "quotactl", "quotactl_fd", "setdomainname", "sethostname", "setns",
                "syslog", "umount", "umount2", "unshare",
            ]
        ),
        (.sysBoot, ["reboot"]),
        (.sysChroot, ["chroot"]),
        (.sysModule, ["delete_module", "finit_module", "init_module"]),
        (.sysPacct, ["acct"]),
        (.sysPtrace, ["kcmp", "pidfd_getfd", "process_madvise"]),
        (.sysRawio, ["ioperm", "iopl"]),
        (.sysTime, ["clock_settime", "clock_settime64", "settimeofday", "stime"]),
        (.sysTtyConfig, ["vhangup"]),
        (.syslog, ["syslog"]),
        (.bpf, ["bpf"]),
        (.perfmon, ["perf_event_open"]),
    ]

    /// Address families that a socket may have: all but AF_VSOCK (40), which reaches the hypervisor past every network
    /// namespace, and AF_ALG (38), the way into the kernel's cryptography and its holes.
    static let socketFamilies: [(op: String, value: UInt64)] = [
        ("SCMP_CMP_LT", 38), ("SCMP_CMP_EQ", 39), ("SCMP_CMP_GT", 40),
    ]

    /// Linux, 32-bit Linux, both with the old layout of uname (UNAME26), and the question which one is set.
    static let personalities: [UInt64] = [0x0, 0x8, 0x2_0000, 0x2_0008, 0xFFFF_FFFF]

    /// CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET.
    static let namespaceFlags: UInt64 = 0x7E02_0000
}
