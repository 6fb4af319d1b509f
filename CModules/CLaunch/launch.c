/* The clone, or the two of them where namespaces are joined first. */
#include "player.h"

#include <linux/sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP 0x200000000ULL
#endif
#ifndef CLONE_CLEAR_SIGHAND
#define CLONE_CLEAR_SIGHAND 0x100000000ULL
#endif

/* The signals this process ignores; CLONE_CLEAR_SIGHAND leaves them ignored, and a program would start deaf to them. */
static uint64_t ignored_signals(void) {
    char text[4096];
    int status = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    if (status < 0) return ~0ULL;
    ssize_t got = read(status, text, sizeof text - 1);
    close(status);
    if (got <= 0) return ~0ULL;
    text[got] = 0;
    const char *field = strstr(text, "SigIgn:");
    if (!field) return ~0ULL;
    uint64_t mask = 0;
    for (field += strcspn(field, "\t ") + 1; *field && *field != '\n'; field++)
        mask = mask << 4 | (uint64_t)(*field <= '9' ? *field - '0' : (*field | 0x20) - 'a' + 10);
    return mask;
}

static void heed_signals(uint64_t ignored) {
    // The kernel's layout of an all-default action: whatever the processor, all zeroes.
    uint64_t action[8] = {0};
    for (int number = 1; number <= 64; number++)
        if (ignored >> (number - 1) & 1) syscall(SYS_rt_sigaction, number, action, NULL, 8);
}

static bool is_staged(const struct mlr_launch *launch) { return launch->join_count > 0 || launch->affinity; }

static long clone_container(const struct mlr_launch *launch, uint64_t flags, uint64_t namespaces, int *pidfd) {
    struct kernel_clone_arguments arguments = {
        .flags = flags | namespaces | CLONE_PIDFD | CLONE_CLEAR_SIGHAND,
        .pidfd = (uintptr_t)pidfd,
        .exit_signal = flags & CLONE_PARENT ? 0 : SIGCHLD,
    };
    if (launch->cgroup >= 0 && !(is_staged(launch) && !(flags & CLONE_PARENT))) {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = (uint64_t)launch->cgroup;
    }
    long child = syscall(SYS_clone3, &arguments, sizeof arguments);
    return child < 0 ? -errno : child;
}

/* Most namespaces belong to the host's user namespace and are joined while the rights over it are there; those that belong
   to the one that is joined, as in a pod made without privileges, only when it is. */
static int join_all(struct player *player) {
    // Processes of the namespaces to be joined must not look into this one, which is still the runtime.
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) return -errno;
    uint32_t late = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < player->launch->join_count; i++) {
            const struct mlr_join *join = &player->launch->joins[i];
            if (pass == 1 && !(late >> i & 1)) continue;
            player->step = -2 - (int)i;
            if (setns(join->descriptor, (int)join->kinds) == 0) continue;
            bool user_follows = false;
            for (size_t j = i + 1; j < player->launch->join_count; j++)
                user_follows |= (player->launch->joins[j].kinds & CLONE_NEWUSER) != 0;
            if (pass == 1 || errno != EPERM || !user_follows || i >= 32) return -errno;
            late |= 1U << i;
        }
    }
    return 0;
}

/* Joins, then makes the container's process as its sibling: a child of the caller, born inside. */
static void play_stage(const struct mlr_launch *launch, uint64_t ignored) {
    struct player player = {.launch = launch, .step = -1, .channel = launch->channel, .parent = -1};
    int result = 0, pidfd = -1;
    if (launch->affinity && syscall(SYS_sched_setaffinity, 0, launch->affinity_size, launch->affinity) < 0) {
        mlr_detail(&player, "run on the processors of process.execCPUAffinity.initial");
        result = -errno;
    }
    if (result == 0) result = join_all(&player);
    if (result == 0) {
        player.step = -1;
        long child = clone_container(launch, CLONE_PARENT, launch->namespaces, &pidfd);
        if (child == 0) {
            // A directory of the host's: whoever sees this process must not climb out of it.
            if (launch->cgroup >= 0) close(launch->cgroup);
            heed_signals(ignored);
            mlr_play_to_the_end(launch);
        }
        result = child < 0 ? (int)child : 0;
        if (result == 0) result = mlr_send_report(&player, MLR_REPORT_STAGED, (int)child, -1);
        // Only whoever knows of it could let it go on.
        if (result < 0 && pidfd >= 0) syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
    }
    if (result < 0) mlr_send_report(&player, MLR_REPORT_FAILED, -result, -1);
    _exit(result < 0);
}

/* Until it executes something, which may be a start gate away, the child would hold open what others of its caller wait
   to see closed: pipes, locks, files being written. */
static void close_others(const struct mlr_launch *launch) {
    unsigned next = 0;
    for (size_t i = 0; i < launch->kept_count; i++) {
        unsigned kept = (unsigned)launch->kept[i];
        if (kept > next) syscall(SYS_close_range, next, kept - 1, 0);
        if (kept >= next) next = kept + 1;
    }
    syscall(SYS_close_range, next, ~0U, 0);
}

/* Not left to the execution: the kernel looks the program up, its interpreter and its loader too, before it closes anything,
   and /proc/self/fd/N/.. of a directory of the host's leads to the host's files. */
int mlr_close_all_but(unsigned first, int kept) {
    if (kept < (int)first) RESULT(syscall(SYS_close_range, first, ~0U, 0));
    unsigned number = (unsigned)kept;
    if (number > first && syscall(SYS_close_range, first, number - 1, 0) < 0) return -errno;
    RESULT(syscall(SYS_close_range, number + 1, ~0U, 0));
}

int mlr_launch(const struct mlr_launch *launch, int *pid, int *pidfd) {
    uint64_t ignored = ignored_signals();
    uint64_t all = ~0ULL, before;
    int opened = -1;
    // The kernel's own mask: glibc's functions keep two signals of its own open.
    if (syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof all) < 0) return -errno;
    bool staged = is_staged(launch);
    long child = clone_container(launch, 0, staged ? 0 : launch->namespaces, &opened);
    if (child == 0) {
        close_others(launch);
        if (staged) play_stage(launch, ignored);
        heed_signals(ignored);
        mlr_play_to_the_end(launch);
    }
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof before);
    if (child < 0) return (int)child;
    *pid = (int)child;
    *pidfd = opened;
    return 0;
}
