/* Which failures a system call can have, and which calls are left alone. */
#include "faults.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#define FAILS(name, errors) {SYS_##name, #name, errors, NULL, false},
#define FAILS_MADE(name, errors) {SYS_##name, #name, errors, NULL, true},
#define EXEMPT(name, why) {SYS_##name, #name, NULL, why, false},

#define NEVER "it cannot fail"
#define WRONG "it fails only for arguments that are wrong in themselves"
#define START "the C library makes it before main, and ends the program if it fails"
#define MEMORY "Swift ends a program that is out of memory; what such an end leaves is walked by killing at each call"
#define RANDOM "Swift's hash tables are seeded by it, and the standard library ends the program if it fails"

static const struct call_rule rules[] = {
    // Files.
    FAILS(openat, "EMFILE EACCES")
    FAILS(openat2, "ENOMEM EACCES")
    FAILS(read, "EIO EINTR")
    FAILS(pread64, "EIO")
    FAILS(readv, "EIO EINTR")
    FAILS(write, "EIO EINTR")
    FAILS(pwrite64, "ENOSPC")
    FAILS(writev, "EIO EINTR")
    FAILS(sendfile, "EIO")
    FAILS(copy_file_range, "EIO")
    FAILS_MADE(close, "EIO")
    FAILS(close_range, "ENOMEM")
    FAILS(getdents64, "EIO")
    FAILS(readlinkat, "ENOMEM EACCES")
    FAILS(newfstatat, "ENOMEM EACCES")
    FAILS(fstat, "ENOMEM")
    FAILS(statx, "ENOMEM EACCES")
    FAILS(statfs, "ENOMEM EACCES")
    FAILS(fstatfs, "EIO")
    FAILS(faccessat, "ENOMEM EACCES")
    FAILS(mkdirat, "ENOSPC EPERM")
    FAILS(mknodat, "ENOSPC EPERM")
    FAILS(symlinkat, "ENOSPC EPERM")
    FAILS(linkat, "ENOSPC EPERM")
    FAILS(unlinkat, "EIO ENOMEM")
    FAILS(renameat2, "ENOSPC EPERM")
    FAILS(fchmod, "EIO EPERM")
    FAILS(fchmodat, "EIO EPERM")
    FAILS(fchown, "EIO EPERM")
    FAILS(fchownat, "EIO EPERM")
    FAILS(ftruncate, "EIO")
    FAILS(fsync, "EIO")
    FAILS(fdatasync, "EIO")
    FAILS(flock, "ENOLCK EINTR")
    FAILS(utimensat, "EPERM")
    FAILS(fgetxattr, "EIO")
    FAILS(flistxattr, "EIO")
    FAILS(fsetxattr, "ENOSPC EPERM")
    FAILS(getcwd, "ENOMEM")
    FAILS(chdir, "ENOMEM EACCES")
    FAILS(fchdir, "EACCES")
    FAILS(memfd_create, "EMFILE ENOMEM")
    FAILS(pipe2, "EMFILE")
    FAILS(dup, "EMFILE")
    FAILS(dup3, "EMFILE")
    FAILS(fcntl, "EMFILE EPERM")
    FAILS(ioctl, "ENOMEM EPERM")
    // Mounts.
    FAILS(mount, "ENOMEM EPERM")
    FAILS(umount2, "EBUSY EPERM")
    FAILS(pivot_root, "EBUSY EPERM")
    FAILS(chroot, "ENOMEM EPERM")
    FAILS(open_tree, "ENOMEM EPERM")
    FAILS(move_mount, "ENOMEM EPERM")
    FAILS(fsopen, "ENOMEM EPERM")
    FAILS(fsconfig, "ENOMEM EPERM")
    FAILS(fsmount, "ENOMEM EPERM")
    FAILS(fspick, "ENOMEM EPERM")
    FAILS(mount_setattr, "ENOMEM EPERM")
    // Processes.
    FAILS(clone3, "EAGAIN ENOMEM")
    FAILS(clone, "EAGAIN ENOMEM")
    FAILS(execve, "ENOMEM EACCES")
    FAILS(execveat, "ENOMEM EACCES")
    FAILS(setns, "ENOMEM EPERM")
    FAILS(unshare, "ENOMEM EPERM")
    FAILS(waitid, "EINTR")
    FAILS(wait4, "EINTR")
    FAILS(kill, "EPERM")
    FAILS(pidfd_open, "EMFILE ENOMEM")
    FAILS(pidfd_send_signal, "EPERM")
    FAILS(pidfd_getfd, "EMFILE EPERM")
    FAILS(prctl, "EPERM")
    FAILS(capset, "EPERM")
    FAILS(capget, "EPERM")
    FAILS(setresuid, "EAGAIN EPERM")
    FAILS(setresgid, "EPERM")
    FAILS(setgroups, "ENOMEM EPERM")
    FAILS(setsid, "EPERM")
    FAILS(setpgid, "EPERM")
    FAILS(prlimit64, "EPERM")
    FAILS(sched_setaffinity, "ENOMEM EPERM")
    FAILS(sched_setattr, "EPERM")
    FAILS(ioprio_set, "EPERM")
    FAILS(set_mempolicy, "ENOMEM")
    FAILS(personality, "EPERM")
    FAILS(sethostname, "EPERM")
    FAILS(setdomainname, "EPERM")
    FAILS(keyctl, "ENOMEM EACCES")
    FAILS(seccomp, "ENOMEM EPERM")
    FAILS(bpf, "ENOMEM EPERM")
    // Sockets and waiting.
    FAILS(socket, "EMFILE ENOMEM")
    FAILS(socketpair, "EMFILE ENOMEM")
    FAILS(bind, "ENOMEM EACCES")
    FAILS(connect, "EACCES EINTR")
    FAILS(sendto, "ENOMEM EINTR")
    FAILS(sendmsg, "ENOMEM EINTR")
    FAILS(recvfrom, "ENOMEM EINTR")
    FAILS(recvmsg, "ENOMEM EINTR")
    FAILS(getsockopt, "ENOMEM")
    FAILS(setsockopt, "ENOMEM")
    FAILS(getsockname, "ENOBUFS")
    FAILS(ppoll, "ENOMEM EINTR")
    FAILS(signalfd4, "EMFILE")
    FAILS(epoll_create1, "EMFILE")
    FAILS(epoll_ctl, "ENOMEM")
    FAILS(epoll_pwait, "EINTR")
    FAILS(madvise, "EAGAIN")
#ifdef SYS_open
    FAILS(open, "EMFILE EACCES")
    FAILS(stat, "ENOMEM EACCES")
    FAILS(lstat, "ENOMEM EACCES")
    FAILS(access, "ENOMEM EACCES")
    FAILS(readlink, "ENOMEM EACCES")
    FAILS(mkdir, "ENOSPC EPERM")
    FAILS(rmdir, "ENOMEM EPERM")
    FAILS(mknod, "ENOSPC EPERM")
    FAILS(symlink, "ENOSPC EPERM")
    FAILS(link, "ENOSPC EPERM")
    FAILS(unlink, "EIO EPERM")
    FAILS(rename, "ENOSPC EPERM")
    FAILS(chmod, "EIO EPERM")
    FAILS(chown, "EIO EPERM")
    FAILS(lchown, "EIO EPERM")
    FAILS(dup2, "EMFILE")
    FAILS(pipe, "EMFILE")
    FAILS(poll, "ENOMEM EINTR")
    FAILS(fork, "EAGAIN ENOMEM")
    FAILS(vfork, "EAGAIN ENOMEM")
    FAILS(epoll_wait, "EINTR")
#endif
    // Left alone.
    EXEMPT(exit, NEVER)
    EXEMPT(exit_group, NEVER)
    EXEMPT(rt_sigreturn, NEVER)
    EXEMPT(getpid, NEVER)
    EXEMPT(gettid, NEVER)
    EXEMPT(getppid, NEVER)
    EXEMPT(getuid, NEVER)
    EXEMPT(geteuid, NEVER)
    EXEMPT(getgid, NEVER)
    EXEMPT(getegid, NEVER)
    EXEMPT(umask, NEVER)
    EXEMPT(sched_yield, NEVER)
    EXEMPT(restart_syscall, "it is the kernel going on with a call that was counted already")
    EXEMPT(rt_sigprocmask, WRONG)
    EXEMPT(rt_sigaction, WRONG)
    EXEMPT(sigaltstack, WRONG)
    EXEMPT(clock_gettime, WRONG)
    EXEMPT(clock_nanosleep, WRONG)
    EXEMPT(nanosleep, WRONG)
    EXEMPT(uname, WRONG)
    EXEMPT(lseek, WRONG)
    EXEMPT(getgroups, WRONG)
    EXEMPT(getresuid, WRONG)
    EXEMPT(getresgid, WRONG)
    EXEMPT(sysinfo, WRONG)
    EXEMPT(sched_getaffinity, WRONG)
    EXEMPT(futex, "its callers, of the C library and of Swift, take every failure for a reason to look again or to end")
    EXEMPT(set_tid_address, START)
    EXEMPT(set_robust_list, START)
    EXEMPT(rseq, START)
    EXEMPT(mprotect, START)
#ifdef SYS_arch_prctl
    EXEMPT(arch_prctl, START)
#endif
    EXEMPT(brk, MEMORY)
    EXEMPT(mmap, MEMORY)
    EXEMPT(munmap, MEMORY)
    EXEMPT(mremap, MEMORY)
    EXEMPT(getrandom, RANDOM)
};

static const struct call_rule unknown = {-1, NULL, "ENOMEM EPERM", NULL, false};

const struct call_rule *call_rule(long number) {
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].number == number) return &rules[i];
    return &unknown;
}

int error_number(const char *name) {
    static const struct { const char *name; int number; } names[] = {
        {"EPERM", EPERM}, {"EINTR", EINTR}, {"EIO", EIO}, {"EAGAIN", EAGAIN}, {"ENOMEM", ENOMEM}, {"EACCES", EACCES},
        {"EBUSY", EBUSY}, {"EMFILE", EMFILE}, {"ENOSPC", ENOSPC}, {"ENOLCK", ENOLCK}, {"ENOBUFS", ENOBUFS},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i].name) == 0) return names[i].number;
    return 0;
}
