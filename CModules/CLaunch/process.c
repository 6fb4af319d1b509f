/* What makes the process itself: its user, rights, limits, files, and at last its program. */
#include "player.h"

#include <limits.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>

#ifndef PR_CAP_AMBIENT
#define PR_CAP_AMBIENT 47
#endif

/* Raw system calls: glibc's own versions of these would try to reach every thread of the process this is a copy of. */
int mlr_step_user(const struct mlr_step *step) {
    // Where a user namespace was made without privileges nobody in it may set groups, nor give up those there are.
    if (syscall(SYS_setgroups, step->size, step->data) < 0 && !(errno == EPERM && step->a && step->size == 0)) return -errno;
    // Capabilities are lost with the last id that is root's; execve(2) takes this back.
    if (step->owner != 0 && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0) return -errno;
    if (syscall(SYS_setresgid, step->group, step->group, step->group) < 0) return -errno;
    if (syscall(SYS_setresuid, step->owner, step->owner, step->owner) < 0) return -errno;
    return 0;
}

int mlr_step_bounding_set(const struct mlr_step *step) {
    for (unsigned capability = 0; capability < 64; capability++) {
        if (step->a >> capability & 1 || prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) continue;
        if (errno == EINVAL) return 0; // the kernel knows no further one
        // Without CAP_SETPCAP none can be dropped, which does no harm where it is not there.
        if (prctl(PR_CAPBSET_READ, capability, 0, 0, 0) != 0) return -EPERM;
    }
    return 0;
}

int mlr_step_capabilities(const struct mlr_step *step) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {
        {(uint32_t)step->a, (uint32_t)step->b, (uint32_t)step->c},
        {(uint32_t)(step->a >> 32), (uint32_t)(step->b >> 32), (uint32_t)(step->c >> 32)},
    };
    if (syscall(SYS_capset, &header, data) < 0) return -errno;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0) return -errno;
    for (unsigned capability = 0; capability < 64; capability++)
        if (step->d >> capability & 1 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) < 0)
            return -errno;
    return 0;
}

/* All that is left to do but the execution: afterwards a filter may forbid anything else. */
static int get_ready(struct player *player) {
    if (player->ready) return 0;
    int closed = mlr_close_all_but(3 + (unsigned)player->launch->extra_count, player->channel);
    if (closed < 0) return closed;
    int told = mlr_send_report(player, MLR_REPORT_EXECUTING, 0, -1);
    if (told < 0) return told;
    uint64_t none = 0;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof none);
    player->ready = true;
    return 0;
}

static int raise_administration(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &header, data) < 0) return -errno;
    data[0].effective |= 1U << CAP_SYS_ADMIN;
    RESULT(syscall(SYS_capset, &header, data));
}

int mlr_step_seccomp(struct player *player, const struct mlr_step *step) {
    struct sock_fprog program = {.len = (unsigned short)step->size, .filter = (struct sock_filter *)step->data};
    int result = step->flags & MLR_SECCOMP_RAISES ? raise_administration() : 0;
    if (result == 0 && step->flags & MLR_SECCOMP_IS_LAST) result = get_ready(player);
    if (result < 0) return result;
    long listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, step->a, &program);
    if (listener < 0) return -errno;
    if (!(step->a & (1 << 3) /* SECCOMP_FILTER_FLAG_NEW_LISTENER */)) return 0;
    result = mlr_send_report(player, MLR_REPORT_LISTENER, 0, (int)listener);
    close((int)listener);
    if (result < 0) return result;
    // Whoever answers the notifications has the listener once this comes back, and not before.
    char taken;
    ssize_t got;
    do got = read(player->channel, &taken, 1);
    while (got < 0 && errno == EINTR);
    return got == 1 ? 0 : got < 0 ? -errno : -ECONNRESET;
}

int mlr_step_loopback(void) {
    int socket_ = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (socket_ < 0) return -errno;
    // Of a new namespace: there are no flags yet that this could take away.
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    int result = ioctl(socket_, SIOCSIFFLAGS, &request) < 0 ? -errno : 0;
    close(socket_);
    return result;
}

/* Offsets may be set only while nobody is in the new time namespace, so it is made for children first and entered after. */
int mlr_step_time_offsets(struct player *player, const struct mlr_step *step) {
    if (unshare(CLONE_NEWTIME) < 0) return -errno;
    if (step->text && *step->text) {
        int offsets = mlr_open_own_procfs(player, "timens_offsets", O_WRONLY);
        if (offsets < 0) return offsets;
        ssize_t written = write(offsets, step->text, strlen(step->text));
        int failure = written < 0 ? -errno : 0;
        close(offsets);
        if (failure) return failure;
    }
    int namespace_ = mlr_open_own_procfs(player, "ns/time_for_children", O_RDONLY);
    if (namespace_ < 0) return namespace_;
    int result = setns(namespace_, CLONE_NEWTIME) < 0 ? -errno : 0;
    close(namespace_);
    return result;
}

int mlr_lift(int descriptor, int lowest) {
    if (descriptor >= lowest) return descriptor;
    RESULT(fcntl(descriptor, F_DUPFD_CLOEXEC, lowest));
}

static int lift_kept(int *descriptor, int lowest) {
    if (*descriptor < 0) return 0;
    int lifted = mlr_lift(*descriptor, lowest);
    if (lifted < 0) return lifted;
    *descriptor = lifted;
    return 0;
}

static int open_null(struct player *player) {
    int opened = mlr_in_root(player, "dev/null", O_RDWR, 0);
    if (opened >= 0 && !mlr_is_null(opened)) {
        close(opened);
        return -ENODEV;
    }
    return opened;
}

/* A program that opens /dev/stdout again needs to own what is behind it. Only pipes are given away: files and terminals of
   the caller stay the caller's when the container is gone. */
static void give_away(int descriptor, const struct stat *status, uint32_t owner) {
    if (S_ISFIFO(status->st_mode)) (void)!fchown(descriptor, owner, (gid_t)-1);
}

static bool is_null(const struct stat *status) {
    return S_ISCHR(status->st_mode) && status->st_rdev == makedev(1, 3);
}

/* Only the process itself knows its number in its pid namespace, without which sd_listen_fds(3) finds no sockets. */
static void write_own_number(const struct mlr_launch *launch) {
    if (!launch->own_number) return;
    launch->own_number[0] = 0;
    mlr_append_number(launch->own_number, MLR_OWN_NUMBER_ROOM + 1, 0, (unsigned long)syscall(SYS_getpid));
}

static int place_extra(const struct mlr_launch *launch, int lowest) {
    for (size_t i = 0; i < launch->extra_count; i++) {
        int lifted = mlr_lift(launch->extra[i], lowest);
        if (lifted < 0) return lifted;
        // Descriptors are the lowest free ones in order, so that each can be found again.
        ((int32_t *)launch->extra)[i] = lifted;
    }
    for (size_t i = 0; i < launch->extra_count; i++)
        if (dup3(launch->extra[i], 3 + (int)i, 0) < 0 && errno != EINVAL) return -errno;
    return 0;
}

int mlr_step_streams(struct player *player, const struct mlr_step *step) {
    const struct mlr_launch *launch = player->launch;
    int lowest = 3 + (int)launch->extra_count;
    int result = lift_kept(&player->channel, lowest);
    if (result == 0) result = lift_kept(&player->gate, lowest);
    if (result == 0) result = lift_kept(&player->outcome, lowest);
    if (result == 0) result = lift_kept(&player->procfs, lowest);
    if (result == 0) result = lift_kept(&player->root, lowest);
    if (result < 0) return result;
    int sources[3], null = -1;
    struct stat status[3];
    for (int i = 0; i < 3; i++) {
        int given = player->terminal >= 0 ? player->terminal : launch->inherit_streams ? i : launch->streams[i];
        // Through the host's null device a container's root could change its mode or owner; entry points do so with
        // /dev/stdout.
        if (given < 0 || fstat(given, &status[i]) < 0) memset(&status[i], 0, sizeof status[i]);
        if (player->terminal < 0 && (given < 0 || is_null(&status[i]))) {
            if (null < 0) null = open_null(player);
            given = null;
        }
        sources[i] = given < 0 ? given : mlr_lift(given, lowest);
        if (sources[i] < 0) return sources[i];
        if (given == null) null = sources[i];
    }
    if (player->terminal >= 0 && ioctl(sources[0], TIOCSCTTY, 0) < 0) return -errno;
    // Other processes may be started in the container while this one waits at the gate, without its filter and with files of
    // the runtime: none of them may reach into it.
    if (player->gate >= 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) return -errno;
    for (int i = 0; i < 3; i++) {
        if (step->flags & MLR_STREAMS_CHOWN && sources[i] != null) give_away(sources[i], &status[i], step->owner);
        if (dup3(sources[i], i, 0) < 0) return -errno;
    }
    write_own_number(launch);
    return place_extra(launch, lowest);
}

int mlr_step_working_directory(struct player *player, const struct mlr_step *step) {
    char place[PATH_MAX];
    // Root may enter what its user may not, as engines let it; where it has no rights, as on a network file system, the user
    // may have them.
    bool early = step->flags & MLR_DIRECTORY_EARLY;
    if (!player->arrived) {
        if (chdir(step->path) == 0) player->arrived = true;
        else if (!early || errno != EACCES) return -errno;
    }
    if (early) return 0;
    long length = syscall(SYS_getcwd, place, sizeof place);
    if (length < 0) return -errno;
    // A directory outside the root, as /proc/self/fd/N of a leaked descriptor, has no path the kernel could give.
    if (place[0] == '/') return 0;
    mlr_detail(player, "it lies outside the container's root");
    return -ENOTDIR;
}

int mlr_step_find_program(struct player *player, const struct mlr_step *step) {
    int result = -ENOENT;
    for (const char *const *candidate = step->list; *candidate; candidate++) {
        struct stat status;
        if (fstatat(AT_FDCWD, *candidate, &status, 0) < 0) {
            if (errno != ENOENT && errno != ENOTDIR) result = -errno;
        } else if (!S_ISREG(status.st_mode)) {
            result = -EACCES;
        } else if (syscall(SYS_faccessat, AT_FDCWD, *candidate, X_OK) < 0) {
            result = -errno;
        } else {
            player->program = *candidate;
            return 0;
        }
    }
    return result;
}

/* Whoever made the container is told, and gone, before it is let go: nothing but the wait itself may fail in between. So both
   FIFOs have been open from the beginning, and nothing is looked up here, for which there may be neither a right nor a procfs. */
int mlr_step_gate(struct player *player) {
    int channel = player->channel;
    if (player->procfs >= 0) close(player->procfs);
    player->procfs = -1;
    player->channel = player->outcome;
    int told = mlr_send_byte(player, '0');
    player->channel = channel;
    if (told == 0) told = mlr_send_report(player, MLR_REPORT_GATE, 0, -1);
    if (told < 0) return told;
    close(channel);
    player->channel = player->outcome;
    player->gated = true;
    char go;
    ssize_t got;
    do got = read(player->gate, &go, 1);
    while (got < 0 && errno == EINTR);
    return got == 1 ? 0 : got < 0 ? -errno : -ECONNRESET;
}

int mlr_step_execute(struct player *player, const struct mlr_step *step) {
    int result = get_ready(player);
    if (result < 0) return result;
    RESULT(execve(player->program, (char *const *)step->list, (char *const *)step->environment));
}
