/* The table of steps, and how their outcome is told. */
#include "player.h"

#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

void mlr_detail(struct player *player, const char *text) {
    mlr_append(player->detail, sizeof player->detail, 0, text);
}

int mlr_send_byte(struct player *player, char byte) {
    ssize_t sent;
    do sent = write(player->channel, &byte, 1);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

int mlr_send_report(struct player *player, enum mlr_report_kind kind, int error, int descriptor) {
    struct mlr_report report = {.kind = kind, .step = player->step, .error = error};
    if (player->channel < 0) return 0;
    if (player->gated && kind == MLR_REPORT_EXECUTING) return mlr_send_byte(player, '1');
    if (player->gated && kind != MLR_REPORT_FAILED) return 0;
    if (player->step >= 0 && player->launch) report.step_kind = player->launch->steps[player->step].kind;
    memcpy(report.text, player->detail, sizeof report.text);
    ssize_t sent;
    // A filter may be loaded by now, and hardly one forbids write(2).
    if (descriptor < 0) {
        do sent = write(player->channel, &report, sizeof report);
        while (sent < 0 && errno == EINTR);
        return sent < 0 ? -errno : 0;
    }
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    memset(&control, 0, sizeof control);
    struct iovec vector = {&report, sizeof report};
    struct msghdr message = {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes,
    };
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control.header), &descriptor, sizeof(int));
    do sent = sendmsg(player->channel, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

static int join(const struct mlr_step *step) {
    if (setns(step->descriptor, (int)step->a) < 0) return -errno;
    close(step->descriptor);
    return 0;
}

static int become_root(const struct mlr_step *step) {
    if (syscall(SYS_setresgid, 0, 0, 0) < 0 || syscall(SYS_setresuid, 0, 0, 0) < 0) return -errno;
    // A mapping made without privileges forbids setgroups(2), and leaves nothing to give up.
    if (syscall(SYS_setgroups, 0, NULL) < 0 && !(step->a && errno == EPERM)) return -errno;
    return 0;
}

static int isolate_mounts(const struct mlr_step *step) {
    if (step->descriptor >= 0) {
        if (setns(step->descriptor, CLONE_NEWNS) < 0 || unshare(CLONE_NEWNS) < 0) return -errno;
        close(step->descriptor);
    }
    RESULT(mount(NULL, "/", NULL, step->a | MS_REC, NULL));
}

static int make_directory(struct player *player, const char *path) {
    int made = mlr_make_target(player, path, false, 0);
    if (made < 0) return made;
    close(made);
    return 0;
}

static int limit(struct player *player, const struct mlr_step *step) {
    struct { uint64_t soft, hard; } wanted = {step->a, step->b}, present;
    if (syscall(SYS_prlimit64, 0, step->mode, NULL, &present) < 0) return -errno;
    if (present.soft == wanted.soft && present.hard == wanted.hard) return 0;
    if (syscall(SYS_prlimit64, 0, step->mode, &wanted, NULL) == 0) return 0;
    int failure = -errno;
    if (failure == -EPERM && wanted.hard > present.hard) {
        char text[128];
        size_t used = mlr_append(text, sizeof text, 0, "the hard limit is ");
        used = mlr_append_number(text, sizeof text, used, present.hard);
        mlr_append(text, sizeof text, used, ", and only CAP_SYS_RESOURCE may raise it");
        mlr_detail(player, text);
    }
    return failure;
}

static int keyring(const struct mlr_step *step) {
    // Kernels without keyrings have none to keep apart.
    if (syscall(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, step->text) < 0 && errno != ENOSYS) return -errno;
    return 0;
}

static int sysctl_(struct player *player, const struct mlr_step *step) {
    return mlr_write_procfs(player, step->path, step->text);
}

static int own_attribute(struct player *player, const struct mlr_step *step) {
    return mlr_write_own_procfs(player, step->path, step->text);
}

static int play_step(struct player *player, const struct mlr_step *step) {
    switch ((enum mlr_step_kind)step->kind) {
    case MLR_STEP_BECOME_ROOT: return become_root(step);
    case MLR_STEP_JOIN: return join(step);
    case MLR_STEP_UNSHARE: RESULT(unshare((int)step->a));
    case MLR_STEP_TIME_OFFSETS: return mlr_step_time_offsets(player, step);
    case MLR_STEP_ISOLATE_MOUNTS: return isolate_mounts(step);
    case MLR_STEP_ATTACH_ROOT: return mlr_step_attach_root(player, step);
    case MLR_STEP_OWN_ROOT: return mlr_step_own_root(player, step);
    case MLR_STEP_MOUNT: return mlr_step_mount(player, step);
    case MLR_STEP_REMOUNT: return mlr_step_remount(player, step);
    case MLR_STEP_MOUNT_READ_ONLY: return mlr_step_mount_read_only(step);
    case MLR_STEP_BIND: return mlr_step_bind(player, step);
    case MLR_STEP_NODE: return mlr_step_node(player, step);
    case MLR_STEP_LINK: return mlr_step_link(player, step);
    case MLR_STEP_MASK: return mlr_step_mask(player, step);
    case MLR_STEP_READ_ONLY: return mlr_step_read_only(player, step);
    case MLR_STEP_DIRECTORY: return make_directory(player, step->path);
    case MLR_STEP_CONSOLE: return mlr_step_console(player, step);
    case MLR_STEP_HOOKS: return mlr_step_hooks(player, step);
    case MLR_STEP_ENTER_ROOT: return mlr_step_enter_root(player, step);
    case MLR_STEP_ROOT_PROPAGATION: RESULT(mount(NULL, "/", NULL, step->b, NULL));
    case MLR_STEP_ROOT_READ_ONLY: return mlr_set_mount(player->root, 0, 1 /* MOUNT_ATTR_RDONLY */, 0, 0);
    case MLR_STEP_HOST_NAME: RESULT(sethostname(step->text, strlen(step->text)));
    case MLR_STEP_DOMAIN_NAME: RESULT(setdomainname(step->text, strlen(step->text)));
    case MLR_STEP_SYSCTL: return sysctl_(player, step);
    case MLR_STEP_OWN_ATTRIBUTE: return own_attribute(player, step);
    case MLR_STEP_LOOPBACK: return mlr_step_loopback();
    case MLR_STEP_SESSION: return setsid() < 0 ? -errno : 0;
    case MLR_STEP_KEYRING: return keyring(step);
    case MLR_STEP_LIMIT: return limit(player, step);
    case MLR_STEP_SCHEDULER: RESULT(syscall(SYS_sched_setattr, 0, step->data, 0));
    case MLR_STEP_IO_PRIORITY: RESULT(syscall(SYS_ioprio_set, 1 /* IOPRIO_WHO_PROCESS */, 0, step->a));
    case MLR_STEP_PERSONALITY: return personality(step->a) < 0 ? -errno : 0;
    case MLR_STEP_MEMORY_POLICY: RESULT(syscall(SYS_set_mempolicy, step->a, step->data, step->size));
    case MLR_STEP_AFFINITY: return syscall(SYS_sched_setaffinity, 0, step->size, step->data) < 0 ? -errno : 0;
    case MLR_STEP_FILE_MASK: umask(step->mode); return 0;
    case MLR_STEP_STREAMS: return mlr_step_streams(player, step);
    case MLR_STEP_WORKING_DIRECTORY: return mlr_step_working_directory(player, step);
    case MLR_STEP_BOUNDING_SET: return mlr_step_bounding_set(step);
    case MLR_STEP_USER: return mlr_step_user(step);
    case MLR_STEP_CAPABILITIES: return mlr_step_capabilities(step);
    case MLR_STEP_NO_NEW_PRIVILEGES: RESULT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    case MLR_STEP_END_WITH_LAUNCHER: RESULT(prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0));
    case MLR_STEP_SECCOMP: return mlr_step_seccomp(player, step);
    case MLR_STEP_FIND_PROGRAM: return mlr_step_find_program(player, step);
    case MLR_STEP_GATE: return mlr_step_gate(player);
    case MLR_STEP_EXECUTE: return mlr_step_execute(player, step);
    }
    return -ENOTSUP;
}

int mlr_play(struct player *player) {
    for (size_t i = 0; i < player->launch->step_count; i++) {
        player->step = (int)i;
        player->detail[0] = 0;
        const struct mlr_step *step = &player->launch->steps[i];
        // Any other step may mount something over that directory.
        if (step->kind != MLR_STEP_NODE && step->kind != MLR_STEP_LINK) mlr_forget_parent(player);
        int result = play_step(player, step);
        if (result < 0) return result;
    }
    return 0;
}

void mlr_play_to_the_end(const struct mlr_launch *launch) {
    struct player player = {
        .launch = launch, .step = -1, .channel = launch->channel, .root = -1, .procfs = -1, .null = -1, .mask = -1,
        .parent = -1, .terminal = -1, .gate = launch->gate,
        .outcome = launch->outcome,
    };
    char go;
    ssize_t got;
    do got = recv(player.channel, &go, 1, 0);
    while (got < 0 && errno == EINTR);
    // The caller gave up, or is gone.
    if (got != 1) _exit(1);
    umask(0);
    int result = mlr_play(&player);
    mlr_send_report(&player, MLR_REPORT_FAILED, result < 0 ? -result : ENOEXEC, -1);
    _exit(127);
}
