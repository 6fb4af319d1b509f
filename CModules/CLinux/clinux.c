#define _GNU_SOURCE 1
#include "clinux.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/bpf.h>
#include <linux/loop.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

const int MLR_O_PATH = O_PATH, MLR_O_TMPFILE = O_TMPFILE, MLR_O_DIRECT = O_DIRECT;

#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif
#ifndef P_PIDFD
#define P_PIDFD 3
#endif
#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif

#define RESULT(expression)                                                                                            \
    do {                                                                                                              \
        long result_ = (long)(expression);                                                                            \
        return result_ < 0 ? -errno : result_;                                                                        \
    } while (0)

int mlr_open(int directory, const char *path, int flags, unsigned mode) {
    RESULT(openat(directory, path, flags | O_CLOEXEC, mode));
}

int mlr_openat2(int directory, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve) {
    struct open_how how = {.flags = flags | O_CLOEXEC, .mode = mode, .resolve = resolve};
    RESULT(syscall(SYS_openat2, directory, path, &how, sizeof how));
}

int mlr_close_range(unsigned first, unsigned last, unsigned flags) {
    RESULT(syscall(SYS_close_range, first, last, flags));
}

int mlr_pipe(int ends[2], int flags) { RESULT(pipe2(ends, flags | O_CLOEXEC)); }
int mlr_dup_cloexec(int descriptor, int lowest) { RESULT(fcntl(descriptor, F_DUPFD_CLOEXEC, lowest)); }
int mlr_dup3(int old, int new_, int flags) { RESULT(dup3(old, new_, flags)); }

int mlr_set_cloexec(int descriptor, bool on) { RESULT(fcntl(descriptor, F_SETFD, on ? FD_CLOEXEC : 0)); }

int mlr_set_nonblocking(int descriptor, bool on) {
    int flags = fcntl(descriptor, F_GETFL);
    if (flags < 0) return -errno;
    RESULT(fcntl(descriptor, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK));
}

int mlr_fcntl_int(int descriptor, int command, int argument) { RESULT(fcntl(descriptor, command, argument)); }
int mlr_memfd_create(const char *name, unsigned flags) { RESULT(memfd_create(name, flags | MFD_CLOEXEC)); }

int mlr_renameat2(int old_directory, const char *old_path, int new_directory, const char *new_path, unsigned flags) {
    RESULT(syscall(SYS_renameat2, old_directory, old_path, new_directory, new_path, flags));
}

int mlr_fallocate(int descriptor, int mode, int64_t offset, int64_t length) {
    RESULT(fallocate(descriptor, mode, offset, length));
}

int mlr_sync_file_range(int descriptor, int64_t offset, int64_t length, unsigned flags) {
    RESULT(sync_file_range(descriptor, offset, length, flags));
}

int64_t mlr_splice(int from, int to, int64_t *to_offset, size_t length, unsigned flags) {
    RESULT(syscall(SYS_splice, from, NULL, to, to_offset, length, flags));
}

int64_t mlr_copy_file_range(int from, int64_t *from_offset, int to, int64_t *to_offset, size_t length) {
    RESULT(syscall(SYS_copy_file_range, from, from_offset, to, to_offset, length, 0));
}

int mlr_mknodat(int directory, const char *path, unsigned mode, unsigned major_, unsigned minor_) {
    RESULT(mknodat(directory, path, mode, makedev(major_, minor_)));
}

int mlr_getrandom(void *buffer, size_t length) {
    size_t done = 0;
    while (done < length) {
        long got = syscall(SYS_getrandom, (char *)buffer + done, length - done, 0);
        if (got < 0) {
            if (errno == EINTR) continue;
            return -errno;
        }
        done += (size_t)got;
    }
    return 0;
}

int mlr_statx(int directory, const char *path, int flags, struct mlr_status *status) {
    struct statx x;
    if (syscall(SYS_statx, directory, path, flags, STATX_BASIC_STATS | 0x1000 /* STATX_MNT_ID */, &x) < 0)
        return -errno;
    *status = (struct mlr_status){
        .inode = x.stx_ino,
        .size = x.stx_size,
        .blocks = x.stx_blocks,
        .mount_id = x.stx_mask & 0x1000 ? x.stx_mnt_id : 0,
        .mode = x.stx_mode,
        .links = x.stx_nlink,
        .uid = x.stx_uid,
        .gid = x.stx_gid,
        .device_major = x.stx_dev_major,
        .device_minor = x.stx_dev_minor,
        .special_major = x.stx_rdev_major,
        .special_minor = x.stx_rdev_minor,
        .modified_seconds = x.stx_mtime.tv_sec,
        .modified_nanoseconds = x.stx_mtime.tv_nsec,
    };
    return 0;
}

int64_t mlr_fstatfs_type(int descriptor) {
    struct statfs information;
    if (fstatfs(descriptor, &information) < 0) return -errno;
    return (int64_t)(uint32_t)information.f_type;
}

int mlr_fsopen(const char *type) { RESULT(syscall(SYS_fsopen, type, 1 /* FSOPEN_CLOEXEC */)); }

int mlr_fsconfig(int context, unsigned command, const char *key, const void *value, int auxiliary) {
    RESULT(syscall(SYS_fsconfig, context, command, key, value, auxiliary));
}

int mlr_fsmount(int context, unsigned attributes) {
    RESULT(syscall(SYS_fsmount, context, 1 /* FSMOUNT_CLOEXEC */, attributes));
}

int mlr_fspick(int directory, const char *path, unsigned flags) {
    RESULT(syscall(SYS_fspick, directory, path, flags | 1 /* FSPICK_CLOEXEC */));
}

int mlr_open_tree(int directory, const char *path, unsigned flags) {
    RESULT(syscall(SYS_open_tree, directory, path, flags | O_CLOEXEC));
}

int mlr_move_mount(int from, const char *from_path, int to, const char *to_path, unsigned flags) {
    RESULT(syscall(SYS_move_mount, from, from_path, to, to_path, flags));
}

int mlr_mount_setattr(int directory, const char *path, unsigned flags, uint64_t set, uint64_t clear,
                      uint64_t propagation, int user_namespace) {
    struct {
        uint64_t set, clear, propagation, user_namespace;
    } attributes = {set, clear, propagation, user_namespace < 0 ? 0 : (uint64_t)user_namespace};
    RESULT(syscall(SYS_mount_setattr, directory, path, flags, &attributes, sizeof attributes));
}

int mlr_mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data) {
    RESULT(mount(source, target, type, flags, data));
}

int mlr_umount(const char *target, int flags) { RESULT(umount2(target, flags)); }

int mlr_pivot_root(const char *new_root, const char *put_old) { RESULT(syscall(SYS_pivot_root, new_root, put_old)); }

int64_t mlr_fscontext_message(int context, char *buffer, size_t length) {
    ssize_t got = read(context, buffer, length - 1);
    if (got < 0) return -errno;
    size_t skip = got > 2 && buffer[1] == ' ' ? 2 : 0;
    memmove(buffer, buffer + skip, (size_t)got - skip);
    buffer[(size_t)got - skip] = 0;
    return got - (ssize_t)skip;
}

int mlr_pidfd_open(int pid) { RESULT(syscall(SYS_pidfd_open, pid, 0)); }

int mlr_pidfd_send_signal(int pidfd, int signal_) { RESULT(syscall(SYS_pidfd_send_signal, pidfd, signal_, NULL, 0)); }

int mlr_pidfd_getfd(int pidfd, int target) { RESULT(syscall(SYS_pidfd_getfd, pidfd, target, 0)); }
int mlr_setns(int descriptor, int kinds) { RESULT(setns(descriptor, kinds)); }
int mlr_unshare(int kinds) { RESULT(unshare(kinds)); }

int mlr_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d) {
    RESULT(prctl(option, a, b, c, d));
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

struct namespace_socket {
    int network_namespace, domain, type, protocol, result;
};

static void *create_namespace_socket(void *argument) {
    struct namespace_socket *request = argument;
    if (setns(request->network_namespace, CLONE_NEWNET) < 0) {
        request->result = -errno;
        return NULL;
    }
    int descriptor = socket(request->domain, request->type | SOCK_CLOEXEC, request->protocol);
    request->result = descriptor < 0 ? -errno : descriptor;
    return NULL;
}

int mlr_socket_in_namespace(int network_namespace, int domain, int type, int protocol) {
    struct namespace_socket request = {network_namespace, domain, type, protocol, -EIO};
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 * 1024);
    int failure = pthread_create(&thread, &attributes, create_namespace_socket, &request);
    pthread_attr_destroy(&attributes);
    if (failure) return -failure;
    pthread_join(thread, NULL);
    return request.result;
}

int mlr_socket(int domain, int type, int protocol) { RESULT(socket(domain, type | SOCK_CLOEXEC, protocol)); }

int mlr_socketpair(int domain, int type, int ends[2]) { RESULT(socketpair(domain, type | SOCK_CLOEXEC, 0, ends)); }

static int unix_address(const char *path, struct sockaddr_un *address) {
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof address->sun_path) return -ENAMETOOLONG;
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, path, length);
    return 0;
}

int mlr_bind_unix(int socket_, const char *path) {
    struct sockaddr_un address;
    int failure = unix_address(path, &address);
    if (failure) return failure;
    RESULT(bind(socket_, (struct sockaddr *)&address, sizeof address));
}

int mlr_connect_unix(int socket_, const char *path) {
    struct sockaddr_un address;
    int failure = unix_address(path, &address);
    if (failure) return failure;
    RESULT(connect(socket_, (struct sockaddr *)&address, sizeof address));
}

static struct sockaddr_in ipv4_address(uint32_t address, uint16_t port) {
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {.s_addr = htonl(address)}};
}

int mlr_bind_ipv4(int socket_, uint32_t address_host_order, uint16_t port) {
    struct sockaddr_in address = ipv4_address(address_host_order, port);
    RESULT(bind(socket_, (struct sockaddr *)&address, sizeof address));
}

int mlr_connect_ipv4(int socket_, uint32_t address_host_order, uint16_t port) {
    struct sockaddr_in address = ipv4_address(address_host_order, port);
    RESULT(connect(socket_, (struct sockaddr *)&address, sizeof address));
}

int mlr_local_port(int socket_) {
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    if (getsockname(socket_, (struct sockaddr *)&address, &length) < 0) return -errno;
    if (address.sin_family != AF_INET) return -EAFNOSUPPORT;
    return ntohs(address.sin_port);
}

int mlr_listen(int socket_, int backlog) { RESULT(listen(socket_, backlog)); }
int mlr_accept(int socket_, int flags) { RESULT(accept4(socket_, NULL, NULL, flags | SOCK_CLOEXEC)); }

int mlr_set_socket_option(int socket_, int level, int name, int value) {
    RESULT(setsockopt(socket_, level, name, &value, sizeof value));
}

int mlr_get_socket_option(int socket_, int level, int name, int *value) {
    int result;
    socklen_t length = sizeof result;
    if (getsockopt(socket_, level, name, &result, &length) < 0) return -errno;
    *value = result;
    return 0;
}

enum { MOST_DESCRIPTORS = 64 };

union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(MOST_DESCRIPTORS * sizeof(int))];
};

int64_t mlr_send_descriptors(int socket_, const void *data, size_t length, const int *descriptors, size_t count,
                             int flags) {
    if (count > MOST_DESCRIPTORS) return -EINVAL;
    union control control;
    struct iovec vector = {(void *)data, length};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    if (count > 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(header), descriptors, count * sizeof(int));
    }
    RESULT(sendmsg(socket_, &message, flags | MSG_NOSIGNAL));
}

int64_t mlr_receive_descriptors(int socket_, void *data, size_t length, int *descriptors, size_t *count, int flags) {
    union control control;
    struct iovec vector = {data, length};
    struct msghdr message = {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control};
    ssize_t got = recvmsg(socket_, &message, flags | MSG_CMSG_CLOEXEC);
    if (got < 0) return -errno;
    size_t received = 0;
    bool cut = message.msg_flags & (MSG_CTRUNC | MSG_TRUNC);
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        size_t here = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < here; i++) {
            int descriptor;
            memcpy(&descriptor, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
            if (!cut && received < *count) {
                descriptors[received++] = descriptor;
            } else {
                close(descriptor);
                cut = true;
            }
        }
    }
    if (cut) {
        for (size_t i = 0; i < received; i++) close(descriptors[i]);
        *count = 0;
        return -EMSGSIZE;
    }
    *count = received;
    return got;
}

int mlr_peer_credentials(int socket_, int *pid, unsigned *uid, unsigned *gid) {
    struct ucred credentials;
    socklen_t length = sizeof credentials;
    if (getsockopt(socket_, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0) return -errno;
    *pid = credentials.pid;
    *uid = credentials.uid;
    *gid = credentials.gid;
    return 0;
}

int mlr_epoll_create(void) { RESULT(epoll_create1(EPOLL_CLOEXEC)); }

int mlr_epoll_control(int epoll, int operation, int descriptor, uint32_t events, uint64_t token) {
    struct epoll_event event = {.events = events, .data.u64 = token};
    RESULT(epoll_ctl(epoll, operation, descriptor, &event));
}

int mlr_epoll_wait(int epoll, struct mlr_event *events, int room, int timeout_milliseconds) {
    struct epoll_event raw[64];
    if (room > 64) room = 64;
    int got = epoll_wait(epoll, raw, room, timeout_milliseconds);
    if (got < 0) return -errno;
    for (int i = 0; i < got; i++) events[i] = (struct mlr_event){raw[i].data.u64, raw[i].events};
    return got;
}

int mlr_timerfd_create(void) { RESULT(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)); }

int mlr_timerfd_set(int timer, uint64_t deadline_nanoseconds) {
    struct itimerspec when = {
        .it_value = {(time_t)(deadline_nanoseconds / 1000000000), (long)(deadline_nanoseconds % 1000000000)}};
    RESULT(timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL));
}

int mlr_eventfd(void) { RESULT(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }

int mlr_signalfd(const int *signals, size_t count) {
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < count; i++) sigaddset(&set, signals[i]);
    int failure = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (failure) return -failure;
    RESULT(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

int mlr_signalfd_read(int descriptor) {
    struct signalfd_siginfo information;
    ssize_t got = read(descriptor, &information, sizeof information);
    if (got < 0) return -errno;
    return (int)information.ssi_signo;
}

int mlr_inotify_create(void) { RESULT(inotify_init1(IN_CLOEXEC | IN_NONBLOCK)); }
int mlr_inotify_add(int inotify, const char *path, uint32_t mask) { RESULT(inotify_add_watch(inotify, path, mask)); }

static uint64_t now(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

uint64_t mlr_monotonic_nanoseconds(void) { return now(CLOCK_MONOTONIC); }
uint64_t mlr_realtime_nanoseconds(void) { return now(CLOCK_REALTIME); }

int mlr_open_pty(int *controller, char *name, size_t room) {
    int descriptor = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (descriptor < 0) return -errno;
    int unlocked = 0, number;
    if (ioctl(descriptor, TIOCSPTLCK, &unlocked) < 0 || ioctl(descriptor, TIOCGPTN, &number) < 0) {
        int failure = -errno;
        close(descriptor);
        return failure;
    }
    snprintf(name, room, "/dev/pts/%d", number);
    *controller = descriptor;
    return 0;
}

int mlr_pty_peer(int controller, int flags) { RESULT(ioctl(controller, TIOCGPTPEER, flags | O_CLOEXEC)); }

int mlr_get_window_size(int descriptor, unsigned short *rows, unsigned short *columns) {
    struct winsize size;
    if (ioctl(descriptor, TIOCGWINSZ, &size) < 0) return -errno;
    *rows = size.ws_row;
    *columns = size.ws_col;
    return 0;
}

int mlr_set_window_size(int descriptor, unsigned short rows, unsigned short columns) {
    struct winsize size = {.ws_row = rows, .ws_col = columns};
    RESULT(ioctl(descriptor, TIOCSWINSZ, &size));
}

int mlr_loop_attach(int backing_file, bool direct_io, char *path, size_t room) {
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    if (control < 0) return -errno;
    for (int attempt = 0; attempt < 64; attempt++) {
        int number = ioctl(control, LOOP_CTL_GET_FREE);
        if (number < 0) break;
        char name[32];
        snprintf(name, sizeof name, "/dev/loop%d", number);
        int device = open(name, O_RDWR | O_CLOEXEC);
        if (device < 0) break;
        struct loop_config configuration = {
            .fd = (uint32_t)backing_file,
            .info.lo_flags =
                LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR | (direct_io ? LO_FLAGS_DIRECT_IO : 0)};
        if (ioctl(device, LOOP_CONFIGURE, &configuration) == 0) {
            snprintf(path, room, "%s", name);
            close(control);
            return device;
        }
        int failure = errno;
        close(device);
        if (failure != EBUSY) {
            errno = failure;
            break;
        }
    }
    int failure = -errno;
    close(control);
    return failure;
}

const char *mlr_error_sentence(int number) { return strerrordesc_np(number); }

int mlr_become_user(unsigned uid, unsigned gid) {
    if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0) return -errno;
    return 0;
}

static int bpf_call(int command, union bpf_attr *attributes) {
    RESULT(syscall(SYS_bpf, command, attributes, sizeof *attributes));
}

static const char device_program_name[] = "mlrun_devices";

int mlr_bpf_load_device_program(const void *instructions, size_t count, char *log, size_t room) {
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    attributes.insns = (uint64_t)(uintptr_t)instructions;
    attributes.insn_cnt = (uint32_t)count;
    attributes.license = (uint64_t)(uintptr_t) "Apache-2.0";
    memcpy(attributes.prog_name, device_program_name, sizeof device_program_name);
    int program = bpf_call(BPF_PROG_LOAD, &attributes);
    if (program != -EINVAL && program != -EACCES) return program;
    /* Once more for the verifier's words: asking for them always would make every load slower. */
    attributes.log_buf = (uint64_t)(uintptr_t)log;
    attributes.log_size = (uint32_t)room;
    attributes.log_level = 1;
    return bpf_call(BPF_PROG_LOAD, &attributes);
}

int mlr_bpf_attach_device_program(int cgroup, int program, int replaced) {
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.target_fd = (uint32_t)cgroup;
    attributes.attach_bpf_fd = (uint32_t)program;
    attributes.attach_type = BPF_CGROUP_DEVICE;
    attributes.attach_flags = BPF_F_ALLOW_MULTI;
    if (replaced >= 0) {
        attributes.attach_flags |= BPF_F_REPLACE;
        attributes.replace_bpf_fd = (uint32_t)replaced;
    }
    return bpf_call(BPF_PROG_ATTACH, &attributes);
}

int mlr_bpf_detach_device_program(int cgroup, int program) {
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.target_fd = (uint32_t)cgroup;
    attributes.attach_bpf_fd = (uint32_t)program;
    attributes.attach_type = BPF_CGROUP_DEVICE;
    return bpf_call(BPF_PROG_DETACH, &attributes);
}

int mlr_bpf_list_device_programs(int cgroup, uint32_t *identifiers, size_t room) {
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.query.target_fd = (uint32_t)cgroup;
    attributes.query.attach_type = BPF_CGROUP_DEVICE;
    attributes.query.prog_ids = (uint64_t)(uintptr_t)identifiers;
    attributes.query.prog_cnt = (uint32_t)room;
    int result = bpf_call(BPF_PROG_QUERY, &attributes);
    return result < 0 ? result : (int)attributes.query.prog_cnt;
}

int mlr_bpf_open_program(uint32_t identifier) {
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.prog_id = identifier;
    return bpf_call(BPF_PROG_GET_FD_BY_ID, &attributes);
}

int mlr_bpf_is_device_program(int program) {
    struct bpf_prog_info information;
    memset(&information, 0, sizeof information);
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.info.bpf_fd = (uint32_t)program;
    attributes.info.info_len = sizeof information;
    attributes.info.info = (uint64_t)(uintptr_t)&information;
    int result = bpf_call(BPF_OBJ_GET_INFO_BY_FD, &attributes);
    if (result < 0) return result;
    return strcmp(information.name, device_program_name) == 0;
}

int64_t mlr_list_attributes(const char *path, char *names, size_t room) { RESULT(llistxattr(path, names, room)); }

int64_t mlr_get_attribute(const char *path, const char *name, void *value, size_t room) {
    RESULT(lgetxattr(path, name, value, room));
}
