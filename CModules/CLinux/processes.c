/* Processes, their limits, users and namespaces. */
#include "result.h"

#include <sys/ioctl.h>

int mlr_pidfd_open(int pid) { RESULT(syscall(SYS_pidfd_open, pid, 0)); }

int mlr_pidfd_send_signal(int pidfd, int signal_) { RESULT(syscall(SYS_pidfd_send_signal, pidfd, signal_, NULL, 0)); }

int mlr_pidfd_getfd(int pidfd, int target) { RESULT(syscall(SYS_pidfd_getfd, pidfd, target, 0)); }
int mlr_setns(int descriptor, int kinds) { RESULT(setns(descriptor, kinds)); }
int mlr_unshare(int kinds) { RESULT(unshare(kinds)); }

int mlr_effective_capabilities(uint64_t *set) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &header, data) < 0) return -errno;
    *set = data[0].effective | (uint64_t)data[1].effective << 32;
    return 0;
}

int mlr_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d) {
    RESULT(prctl(option, a, b, c, d));
}

int mlr_start_placeholder(int *pid, int *pidfd) {
    int descriptor = -1;
    struct clone_args arguments = {
        .flags = CLONE_PIDFD, .pidfd = (uint64_t)(uintptr_t)&descriptor, .exit_signal = SIGCHLD};
    long child = syscall(SYS_clone3, &arguments, sizeof arguments);
    if (child < 0) return -errno;
    if (child == 0) {
        /* Everything that comes after a fork of a program with threads must be safe in a signal handler. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) pause();
    }
    *pid = (int)child;
    *pidfd = descriptor;
    return 0;
}

int mlr_gettid(void) { return (int)syscall(SYS_gettid); }

int mlr_wait_pidfd(int pidfd, int options, int *code, int *value) {
    siginfo_t information = {0};
    int result;
    do {
        result = waitid((idtype_t)P_PIDFD, (id_t)pidfd, &information, WEXITED | options);
    } while (result < 0 && errno == EINTR);
    if (result < 0) return -errno;
    if (information.si_pid == 0) return 0;
    *code = information.si_code;
    *value = information.si_status;
    return 1;
}

int mlr_prlimit(int pid, int resource, const struct mlr_limit *new_limit, struct mlr_limit *old_limit) {
    RESULT(syscall(SYS_prlimit64, pid, resource, new_limit, old_limit));
}

int mlr_become_user(unsigned uid, unsigned gid) {
    if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0) return -errno;
    return 0;
}

int mlr_namespace_kind(int descriptor) { RESULT(ioctl(descriptor, _IO(0xb7, 3) /* NS_GET_NSTYPE */)); }

/* A filter that cannot be read tells a flag that is known (EFAULT) from one that is not (EINVAL). */
unsigned mlr_seccomp_supported_flags(unsigned flags) {
    unsigned supported = 0;
    for (unsigned flag = 1; flag && flag <= flags; flag <<= 1) {
        // This one is taken only along with a listener.
        unsigned asked = flag == 1 << 5 ? flag | 1 << 3 : flag;
        if (flags & flag && syscall(SYS_seccomp, 1 /* SET_MODE_FILTER */, asked, NULL) < 0 && errno == EFAULT) supported |= flag;
    }
    return supported;
}
