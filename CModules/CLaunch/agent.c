#define _GNU_SOURCE 1
#include "agent.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

/* struct pidfd_info in its first published size; linux/pidfd.h of Debian 12 does not know it. */
struct process_information {
    uint64_t mask, cgroup;
    uint32_t ids[11];
    int32_t exit_code;
};
#define GET_PROCESS_INFORMATION _IOWR(0xFF, 11, struct process_information)
#define WITH_EXIT_CODE (1u << 3)

/* How a process ended that is no child of this one: 1 with *status as waitpid(2) gives it, 0 while its parent has not
   reaped it, -ENOTTY where the kernel cannot tell. */
static int exit_status_of(int pidfd, int *status) {
    struct process_information information = {.mask = WITH_EXIT_CODE};
    if (ioctl(pidfd, GET_PROCESS_INFORMATION, &information) < 0) return errno == ESRCH ? 0 : -ENOTTY;
    if (information.mask & WITH_EXIT_CODE) {
        *status = information.exit_code;
        return 1;
    }
    return 0;
}

struct announcement {
    unsigned char step;
    int error;
};

_Noreturn static void give_up(int socket_, enum mlr_agent_step step, int error) {
    struct announcement announcement = {(unsigned char)step, error};
    (void)!send(socket_, &announcement, sizeof announcement, MSG_NOSIGNAL);
    _exit(1);
}

/* Closes everything except the given descriptors (-1 counts as none). */
static int keep_only(const int *keep, size_t count) {
    int sorted[4];
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        if (keep[i] < 0) continue;
        size_t place = used++;
        for (; place > 0 && sorted[place - 1] > keep[i]; place--) sorted[place] = sorted[place - 1];
        sorted[place] = keep[i];
    }
    unsigned first = 0;
    for (size_t i = 0; i < used; i++) {
        unsigned kept = (unsigned)sorted[i];
        if (kept > first && syscall(SYS_close_range, first, kept - 1, 0) < 0) return -errno;
        first = kept + 1;
    }
    return syscall(SYS_close_range, first, ~0u, 0) < 0 ? -errno : 0;
}

static int limit(int resource, rlim_t value) {
    struct rlimit limits = {value, value};
    return setrlimit(resource, &limits) < 0 ? -errno : 0;
}

/* The raw system calls: glibc's wrappers would try to change every thread that the caller had. */
static int drop_privileges(unsigned uid, unsigned gid) {
    if (syscall(SYS_setgroups, 0, NULL) < 0 || syscall(SYS_setresgid, gid, gid, gid) < 0 ||
        syscall(SYS_setresuid, uid, uid, uid) < 0)
        return -errno;
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}};
    if (syscall(SYS_capset, &header, none) < 0) return -errno;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) return -errno;
    int failure = limit(RLIMIT_CORE, 0);
    if (!failure) failure = limit(RLIMIT_NPROC, 0);
    if (!failure) failure = limit(RLIMIT_NOFILE, 64);
    return failure;
}

#if defined(__x86_64__)
#define NATIVE_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCHITECTURE AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define NATIVE_ARCHITECTURE AUDIT_ARCH_RISCV64
#else
#error "name the audit architecture of this processor"
#endif

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define KILL BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)
#define ALLOW_CALL(number) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), ALLOW

static int confine(void) {
    static const struct sock_filter filter[] = {
        LOAD(arch),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCHITECTURE, 1, 0),
        KILL,
        LOAD(nr),
        ALLOW_CALL(SYS_ppoll),
        ALLOW_CALL(SYS_recvfrom),
        ALLOW_CALL(SYS_sendmsg),
        ALLOW_CALL(SYS_sendto),
        ALLOW_CALL(SYS_close),
        ALLOW_CALL(SYS_write),
        ALLOW_CALL(SYS_ioctl),
        ALLOW_CALL(SYS_clock_gettime),
        ALLOW_CALL(SYS_restart_syscall),
        ALLOW_CALL(SYS_exit_group),
        /* socket(2), and only for IPv4. */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 1, 0),
        KILL,
        LOAD(args[0]),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET, 1, 0),
        KILL,
        ALLOW,
    };
    const struct sock_fprog program = {sizeof filter / sizeof *filter, (struct sock_filter *)filter};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0 ? -errno : 0;
}

static void answer(int client, int descriptor, unsigned char error) {
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {{0}};
    struct iovec vector = {&error, 1};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    if (descriptor >= 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.header), &descriptor, sizeof(int));
    }
    while (sendmsg(client, &message, MSG_NOSIGNAL) < 0 && errno == EINTR) {}
}

/* Answers one request; false when the last client is gone. */
static int serve(int client) {
    unsigned char request = 0;
    ssize_t got = recv(client, &request, 1, MSG_DONTWAIT);
    if (got < 0) return errno == EINTR || errno == EAGAIN;
    if (got == 0) return 0;
    if (request != 'T') {
        answer(client, -1, EINVAL);
        return 1;
    }
    int made = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    answer(client, made, made < 0 ? (unsigned char)errno : 0);
    if (made >= 0) close(made);
    return 1;
}

static char *number(char *end, uint64_t value) {
    do {
        *--end = (char)('0' + value % 10);
    } while (value /= 10);
    return end;
}

static void record_end(int file, int status) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    char text[64], *end = text + sizeof text, *start = end;
    *--start = '\n';
    start = number(start, (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec);
    *--start = ' ';
    start = number(start, (uint32_t)status);
    (void)!write(file, start, (size_t)(end - start));
}

_Noreturn static void run(const struct mlr_agent *agent) {
    int process = agent->process, client = agent->socket_;
    /* After its end a process must still be reaped by its parent before the kernel tells how it ended. */
    int unreaped = 0;
    while (client >= 0 || process >= 0) {
        struct pollfd descriptors[2] = {
            {.fd = client, .events = POLLIN}, {.fd = unreaped ? -1 : process, .events = POLLIN}};
        struct timespec pause = {0, 20 * 1000 * 1000};
        int ready = ppoll(descriptors, 2, unreaped ? &pause : NULL, NULL);
        if (ready < 0 && errno != EINTR) _exit(2);
        if (descriptors[0].revents && !serve(client)) {
            close(client);
            client = -1;
        }
        if (process >= 0 && (unreaped || descriptors[1].revents)) {
            int status, known = exit_status_of(process, &status);
            if (known > 0) record_end(agent->exit_file, status);
            /* Ten minutes of a parent that does not reap, or an old kernel: nobody will ever know. */
            if (known != 0 || ++unreaped > 30000) {
                close(process);
                process = -1;
                unreaped = 0;
            }
        }
    }
    _exit(0);
}

_Noreturn static void become_agent(const struct mlr_agent *agent) {
    int failure;
    syscall(SYS_setsid);
    if (agent->user_namespace >= 0 && setns(agent->user_namespace, CLONE_NEWUSER) < 0)
        give_up(agent->socket_, MLR_AGENT_JOIN_USER_NAMESPACE, errno);
    if (agent->network_namespace >= 0 && setns(agent->network_namespace, CLONE_NEWNET) < 0)
        give_up(agent->socket_, MLR_AGENT_JOIN_NETWORK_NAMESPACE, errno);
    int keep[] = {agent->socket_, agent->process, agent->exit_file};
    if ((failure = keep_only(keep, 3)) < 0) give_up(agent->socket_, MLR_AGENT_CLOSE_DESCRIPTORS, -failure);
    if (agent->title) {
        memset(agent->title, 0, agent->title_room);
        strncpy(agent->title, "mlrun-agent", agent->title_room - 1);
    }
    prctl(PR_SET_NAME, "mlrun-agent", 0, 0, 0);
    if ((failure = drop_privileges(agent->uid, agent->gid)) < 0)
        give_up(agent->socket_, MLR_AGENT_DROP_PRIVILEGES, -failure);
    if ((failure = confine()) < 0) give_up(agent->socket_, MLR_AGENT_CONFINE, -failure);
    struct announcement ready = {0, 0};
    if (send(agent->socket_, &ready, sizeof ready, MSG_NOSIGNAL) < 0) _exit(1);
    run(agent);
}

int mlr_agent_start(const struct mlr_agent *agent, int client, int *pidfd, int *step) {
    *step = MLR_AGENT_CLONE;
    struct clone_args {
        uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
    } arguments = {.flags = CLONE_PIDFD, .pidfd = (uint64_t)(uintptr_t)pidfd, .exit_signal = SIGCHLD};
    /* No handler of the caller may run in the agent: it would find a half-copied world. */
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    long pid = syscall(SYS_clone3, &arguments, sizeof arguments);
    if (pid == 0) become_agent(agent);
    int failure = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid < 0) return -failure;

    struct announcement announcement;
    struct pollfd waiting[2] = {{.fd = client, .events = POLLIN}, {.fd = *pidfd, .events = POLLIN}};
    while (poll(waiting, 2, -1) < 0 && errno == EINTR) {}
    ssize_t got = recv(client, &announcement, sizeof announcement, MSG_DONTWAIT);
    if (got == (ssize_t)sizeof announcement && announcement.step == 0) return (int)pid;
    *step = got == (ssize_t)sizeof announcement ? announcement.step : MLR_AGENT_DIED;
    failure = got == (ssize_t)sizeof announcement ? announcement.error : ECHILD;
    syscall(SYS_pidfd_send_signal, *pidfd, SIGKILL, NULL, 0);
    siginfo_t information;
    while (waitid((idtype_t)P_PIDFD, (id_t)*pidfd, &information, WEXITED) < 0 && errno == EINTR) {}
    close(*pidfd);
    return -failure;
}

int mlr_agent_socket(int client) {
    while (send(client, "T", 1, MSG_NOSIGNAL) < 0)
        if (errno != EINTR) return -errno;
    unsigned char error = 0;
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec vector = {&error, 1};
    struct msghdr message = {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    ssize_t got;
    while ((got = recvmsg(client, &message, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR) {}
    if (got < 0) return -errno;
    if (got == 0) return -ECONNRESET;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (error || !header || header->cmsg_type != SCM_RIGHTS) return error ? -(int)error : -EPROTO;
    int descriptor;
    memcpy(&descriptor, CMSG_DATA(header), sizeof descriptor);
    return descriptor;
}
