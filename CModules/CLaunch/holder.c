/* Namespaces without a program in them, and what a pidfd remembers. */
#include "player.h"

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

enum { STACK_SIZE = 16 * 1024 };

static int hold(void *unused) {
    for (;;) syscall(SYS_ppoll, NULL, 0, NULL, NULL, 0);
    return unused != NULL;
}

/* The holder shares the caller's memory: copying the page tables of a large process for a sleeper would be waste. It
   touches nothing but its own stack, and no signal can make it do more. */
int mlr_hold_namespaces(struct mlr_holder *holder, uint64_t kinds) {
    void *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED) return -errno;
    uint64_t all = ~0ULL, before;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof all);
    int pidfd = -1;
    int child = clone(hold, (char *)stack + STACK_SIZE, (int)kinds | CLONE_VM | CLONE_PIDFD | SIGCHLD, NULL, &pidfd);
    int failure = errno;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof before);
    if (child < 0) {
        munmap(stack, STACK_SIZE);
        return -failure;
    }
    *holder = (struct mlr_holder){.pid = child, .pidfd = pidfd, .stack = stack};
    return 0;
}

/* What is left of a process until it is waited for still tells of its user namespace, so that none has to live in it. */
int mlr_hold_user_namespace(struct mlr_holder *holder, int descriptor) {
    uint64_t all = ~0ULL, before;
    int pidfd = -1;
    struct kernel_clone_arguments arguments = {.flags = CLONE_PIDFD, .pidfd = (uintptr_t)&pidfd};
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof all);
    long child = syscall(SYS_clone3, &arguments, sizeof arguments);
    int failure = errno;
    if (child == 0) {
        // Its memory is a copy of the caller's, which processes of that namespace must not look into.
        bool entered = prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 && setns(descriptor, CLONE_NEWUSER) == 0;
        syscall(SYS_exit_group, entered ? 0 : errno);
    }
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof before);
    if (child < 0) return -failure;
    *holder = (struct mlr_holder){.pid = (int)child, .pidfd = pidfd};
    siginfo_t end = {0};
    while (syscall(SYS_waitid, P_PIDFD, pidfd, &end, WEXITED | WNOWAIT | __WALL, NULL) < 0 && errno == EINTR) {}
    if (end.si_code == CLD_EXITED && end.si_status == 0) return 0;
    mlr_release_namespaces(holder);
    return end.si_code == CLD_EXITED ? -end.si_status : -ESRCH;
}

void mlr_release_namespaces(struct mlr_holder *holder) {
    siginfo_t information;
    syscall(SYS_pidfd_send_signal, holder->pidfd, SIGKILL, NULL, 0);
    while (syscall(SYS_waitid, P_PIDFD, holder->pidfd, &information, WEXITED | __WALL, NULL) < 0 && errno == EINTR) {}
    close(holder->pidfd);
    if (holder->stack) munmap(holder->stack, STACK_SIZE);
}

/* struct pidfd_info of Linux 6.15, whose header this may be built without. */
struct pidfd_information {
    uint64_t mask, cgroup;
    uint32_t pid, tgid, ppid, ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
    int32_t exit_code;
};

int mlr_pidfd_exit_status(int pidfd) {
    enum { INFORMATION_EXIT = 8 };
    struct pidfd_information information = {.mask = INFORMATION_EXIT};
    if (ioctl(pidfd, _IOWR(0xFF, 11, struct pidfd_information), &information) < 0) return -errno;
    return information.mask & INFORMATION_EXIT ? information.exit_code : -ENODATA;
}
