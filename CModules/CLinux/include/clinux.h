/*
 * System calls and constants of Linux that Swift's Glibc overlay hides, as plain functions.
 *
 * Contract of every function here: it returns a value >= 0 on success and -errno on failure, never touches its
 * outputs on failure, retries nothing, and opens every descriptor close-on-exec. A descriptor comes before a path.
 */
#ifndef CLINUX_H
#define CLINUX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* This header includes nothing of _GNU_SOURCE: declarations that differ from Swift's own view of glibc cannot be
   imported beside it. Flags whose value depends on the processor are therefore constants of the C file. */
extern const int MLR_O_PATH, MLR_O_TMPFILE, MLR_O_DIRECT;

/* Constants that Swift's Glibc overlay does not show; the same on every processor. */
enum {
    MLR_AT_EMPTY_PATH = 0x1000,
    MLR_AT_RECURSIVE = 0x8000,
    MLR_AT_SYMLINK_NOFOLLOW = 0x100,
    MLR_AT_FDCWD = -100,
    MLR_RESOLVE_NO_XDEV = 0x01,
    MLR_RESOLVE_NO_MAGICLINKS = 0x02,
    MLR_RESOLVE_NO_SYMLINKS = 0x04,
    MLR_RESOLVE_BENEATH = 0x08,
    MLR_RESOLVE_IN_ROOT = 0x10,
    MLR_OPEN_TREE_CLONE = 1,
    MLR_MOVE_MOUNT_F_EMPTY_PATH = 0x04,
    MLR_MOVE_MOUNT_T_EMPTY_PATH = 0x40,
    MLR_MOUNT_ATTR_RDONLY = 0x01,
    MLR_MOUNT_ATTR_NOSUID = 0x02,
    MLR_MOUNT_ATTR_NODEV = 0x04,
    MLR_MOUNT_ATTR_NOEXEC = 0x08,
    MLR_MOUNT_ATTR_NOATIME = 0x10,
    MLR_MOUNT_ATTR_STRICTATIME = 0x20,
    MLR_MOUNT_ATTR__ATIME = 0x70,
    MLR_MOUNT_ATTR_NODIRATIME = 0x80,
    MLR_MOUNT_ATTR_IDMAP = 0x00100000,
    MLR_MOUNT_ATTR_NOSYMFOLLOW = 0x00200000,
    MLR_FSCONFIG_SET_FLAG = 0,
    MLR_FSCONFIG_SET_STRING = 1,
    MLR_FSCONFIG_SET_FD = 5,
    MLR_FSCONFIG_CMD_CREATE = 6,
    MLR_RENAME_NOREPLACE = 1,
    MLR_RENAME_EXCHANGE = 2,
    MLR_SYNC_FILE_RANGE_WRITE = 2,
    MLR_CLOSE_RANGE_CLOEXEC = 4,
    MLR_SPLICE_F_MOVE = 1,
    MLR_SPLICE_F_NONBLOCK = 2,
    MLR_FALLOC_FL_KEEP_SIZE = 1,
    MLR_FALLOC_FL_PUNCH_HOLE = 2,
    MLR_F_SETPIPE_SZ = 1031,
    MLR_F_GETPIPE_SZ = 1032,
    MLR_CLONE_NEWTIME = 0x80,
    MLR_CLONE_NEWNS = 0x20000,
    MLR_CLONE_NEWCGROUP = 0x02000000,
    MLR_CLONE_NEWUTS = 0x04000000,
    MLR_CLONE_NEWIPC = 0x08000000,
    MLR_CLONE_NEWUSER = 0x10000000,
    MLR_CLONE_NEWPID = 0x20000000,
    MLR_CLONE_NEWNET = 0x40000000,
    MLR_WNOHANG = 1,
    MLR_EPOLLIN = 0x1,
    MLR_EPOLLPRI = 0x2,
    MLR_EPOLLOUT = 0x4,
    MLR_EPOLLERR = 0x8,
    MLR_EPOLLHUP = 0x10,
    MLR_EPOLLRDHUP = 0x2000,
    MLR_EPOLL_ADD = 1,
    MLR_EPOLL_DELETE = 2,
    MLR_EPOLL_MODIFY = 3,
    MLR_MS_RDONLY = 1,
    MLR_MS_NOSUID = 2,
    MLR_MS_NODEV = 4,
    MLR_MS_NOEXEC = 8,
    MLR_MS_REMOUNT = 32,
    MLR_MS_BIND = 4096,
    MLR_MS_MOVE = 8192,
    MLR_MS_REC = 16384,
    MLR_MS_UNBINDABLE = 1 << 17,
    MLR_MS_PRIVATE = 1 << 18,
    MLR_MS_SLAVE = 1 << 19,
    MLR_MS_SHARED = 1 << 20,
    MLR_MNT_DETACH = 2,
    MLR_CLD_EXITED = 1,
    MLR_CLD_KILLED = 2,
    MLR_CLD_DUMPED = 3,
    MLR_PR_SET_PDEATHSIG = 1,
    MLR_PR_SET_DUMPABLE = 4,
    MLR_PR_SET_CHILD_SUBREAPER = 36,
    MLR_PR_SET_NO_NEW_PRIVS = 38,
    MLR_SOCK_NONBLOCK = 04000,
    MLR_MSG_DONTWAIT = 0x40,
};

/* The sentence of an error number, or NULL. */
const char *mlr_error_sentence(int number);

/* Descriptors and files. */
int mlr_open(int directory, const char *path, int flags, unsigned mode);
int mlr_openat2(int directory, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve);
int mlr_close_range(unsigned first, unsigned last, unsigned flags);
int mlr_pipe(int ends[2], int flags);
int mlr_dup_cloexec(int descriptor, int lowest);
int mlr_dup3(int old, int new_, int flags);
int mlr_set_cloexec(int descriptor, bool on);
int mlr_set_nonblocking(int descriptor, bool on);
/* ioctl(2) with the address of a structure. */
int mlr_ioctl(int descriptor, unsigned long request, void *argument);
int mlr_fcntl_int(int descriptor, int command, int argument);
int mlr_memfd_create(const char *name, unsigned flags);
int mlr_renameat2(int old_directory, const char *old_path, int new_directory, const char *new_path, unsigned flags);
int mlr_fallocate(int descriptor, int mode, int64_t offset, int64_t length);
int mlr_sync_file_range(int descriptor, int64_t offset, int64_t length, unsigned flags);
int64_t mlr_splice(int from, int to, int64_t *to_offset, size_t length, unsigned flags);
int64_t mlr_copy_file_range(int from, int64_t *from_offset, int to, int64_t *to_offset, size_t length);
int mlr_mknodat(int directory, const char *path, unsigned mode, unsigned major_, unsigned minor_);
/* Entries of an open directory as the kernel gives them; 0 at the end. */
int64_t mlr_getdents(int directory, void *buffer, size_t room);
int mlr_getrandom(void *buffer, size_t length);

/* Result of mlr_statx: the fields a runtime needs, no padding to trip over. */
struct mlr_status {
    uint64_t inode, size, blocks, mount_id;
    uint32_t mode, links, uid, gid;
    uint32_t device_major, device_minor;   /* of the file system that holds it */
    uint32_t special_major, special_minor; /* of a device node */
    int64_t modified_seconds;
    uint32_t modified_nanoseconds;
};
int mlr_statx(int directory, const char *path, int flags, struct mlr_status *status);
/* The magic number of the file system that holds an open file (statfs(2) f_type), as >= 0; or -errno. */
int64_t mlr_fstatfs_type(int descriptor);

/* Mounts: the new mount API, and mount(2) where a kernel lacks it. */
int mlr_fsopen(const char *type);
int mlr_fsconfig(int context, unsigned command, const char *key, const void *value, int auxiliary);
int mlr_fsmount(int context, unsigned attributes);
int mlr_fspick(int directory, const char *path, unsigned flags);
int mlr_open_tree(int directory, const char *path, unsigned flags);
int mlr_move_mount(int from, const char *from_path, int to, const char *to_path, unsigned flags);
int mlr_mount_setattr(int directory, const char *path, unsigned flags, uint64_t set, uint64_t clear,
                      uint64_t propagation, int user_namespace);
/* How many mounts the caller's root shows, at most `limit` (512); -ENOSYS before Linux 6.8. */
int mlr_count_mounts(int limit);
int mlr_mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data);
int mlr_umount(const char *target, int flags);
int mlr_pivot_root(const char *new_root, const char *put_old);
/* The text an fscontext has queued about its last failure (without the severity prefix), or -ENODATA. */
int64_t mlr_fscontext_message(int context, char *buffer, size_t length);

/* Processes and namespaces. */
int mlr_pidfd_open(int pid);
int mlr_pidfd_send_signal(int pidfd, int signal_);
int mlr_pidfd_getfd(int pidfd, int target);
int mlr_setns(int descriptor, int kinds);
int mlr_unshare(int kinds);
/* The CLONE_NEW* flag of an open namespace file, or -ENOTTY for any other file. */
int mlr_namespace_kind(int descriptor);
/* The flags of seccomp(2) that this kernel takes, of those given. */
unsigned mlr_seccomp_supported_flags(unsigned flags);
/* Gives free heap and the program's own unchanged pages back to the kernel; what is wanted again is mapped again. */
void mlr_release_memory(void);
/* One heap for all threads from now on: for programs whose threads seldom allocate at the same time. */
void mlr_use_one_heap(void);
int mlr_effective_capabilities(uint64_t *set);
int mlr_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
int mlr_gettid(void);
/* Starts a process that does nothing until it is killed, at the latest when the calling thread ends. It is a child that
   must be waited for. */
int mlr_start_placeholder(int *pid, int *pidfd);
/* Waits for a child by pidfd. On success fills code and value as siginfo's si_code and si_status.
   Returns 1 when the child has ended, 0 when it has not (only with WNOHANG in options). */
int mlr_wait_pidfd(int pidfd, int options, int *code, int *value);
/* prlimit(2); a limit of UINT64_MAX is "unlimited". Either pointer may be NULL. */
struct mlr_limit { uint64_t soft, hard; };
int mlr_prlimit(int pid, int resource, const struct mlr_limit *new_limit, struct mlr_limit *old_limit);
/* A socket that lives in another network namespace, made by a short-lived thread that joins it: the calling
   thread's namespaces are untouched. */
int mlr_socket_in_namespace(int network_namespace, int domain, int type, int protocol);

/* Sockets. Paths may be up to 107 bytes. */
int mlr_socket(int domain, int type, int protocol);
int mlr_socketpair(int domain, int type, int ends[2]);
int mlr_bind_unix(int socket_, const char *path);
int mlr_connect_unix(int socket_, const char *path);
/* The same in the abstract namespace, by the name without its leading NUL. */
int mlr_connect_abstract_unix(int socket_, const char *name);
int mlr_bind_ipv4(int socket_, uint32_t address_host_order, uint16_t port);
/* For IPv6 only, also where the address is ::. */
int mlr_bind_ipv6(int socket_, const char *address, uint16_t port);
/* The one form of RFC 5952 of an address, without a zone; -EINVAL for what is none. */
int mlr_canonical_ipv6(const char *text, char *canonical, size_t room);
int mlr_connect_ipv4(int socket_, uint32_t address_host_order, uint16_t port);
int mlr_local_port(int socket_);
int mlr_listen(int socket_, int backlog);
int mlr_accept(int socket_, int flags);
int mlr_set_socket_option(int socket_, int level, int name, int value);
int mlr_get_socket_option(int socket_, int level, int name, int *value);
/* Sends one message with up to 64 descriptors; returns the bytes sent. */
int64_t mlr_send_descriptors(int socket_, const void *data, size_t length, const int *descriptors, size_t count,
                             int flags);
/* Receives one message; *count is the room on entry and the number received on return. Descriptors arrive
   close-on-exec. Returns the bytes received, or -EMSGSIZE when data or descriptors were cut (all are closed). */
int64_t mlr_receive_descriptors(int socket_, void *data, size_t length, int *descriptors, size_t *count, int flags);
/* Credentials of the peer of a connected unix socket. */
int mlr_peer_credentials(int socket_, int *pid, unsigned *uid, unsigned *gid);

/* Event loop parts. */
int mlr_epoll_create(void);
int mlr_epoll_control(int epoll, int operation, int descriptor, uint32_t events, uint64_t token);
struct mlr_event { uint64_t token; uint32_t events; };
int mlr_epoll_wait(int epoll, struct mlr_event *events, int room, int timeout_milliseconds);
int mlr_timerfd_create(void);
/* Arms a CLOCK_MONOTONIC timer for an absolute time in nanoseconds; 0 disarms it. */
int mlr_timerfd_set(int timer, uint64_t deadline_nanoseconds);
int mlr_eventfd(void);
/* Blocks the signals in mask for the calling thread and returns a descriptor that reports them. */
int mlr_signalfd(const int *signals, size_t count);
int mlr_signalfd_read(int descriptor);
int mlr_inotify_create(void);
int mlr_inotify_add(int inotify, const char *path, uint32_t mask);
uint64_t mlr_monotonic_nanoseconds(void);
uint64_t mlr_realtime_nanoseconds(void);

/* Terminals. */
int mlr_open_pty(int *controller, char *name, size_t room);
int mlr_pty_peer(int controller, int flags);
int mlr_get_window_size(int descriptor, unsigned short *rows, unsigned short *columns);
int mlr_set_window_size(int descriptor, unsigned short rows, unsigned short columns);

/* Loop devices, for kernels that cannot mount a file system image from a file. Returns the open device. */
int mlr_loop_attach(int backing_file, bool direct_io, char *path, size_t room);

/* Becomes another user for good, in all threads: no supplementary groups, then real, effective and saved ids. */
int mlr_become_user(unsigned uid, unsigned gid);

/* eBPF programs that decide which devices a cgroup may use (BPF_CGROUP_DEVICE). */
/* Loads a program of `count` instructions of 8 bytes and returns its descriptor. When the verifier refuses it, `log`
   holds its words. */
int mlr_bpf_load_device_program(const void *instructions, size_t count, char *log, size_t room);
/* Attaches it besides other programs (BPF_F_ALLOW_MULTI), in the place of `replaced` unless that is negative. */
int mlr_bpf_attach_device_program(int cgroup, int program, int replaced);
int mlr_bpf_detach_device_program(int cgroup, int program);
/* The identifiers of the programs attached to this very cgroup; returns how many. */
int mlr_bpf_list_device_programs(int cgroup, uint32_t *identifiers, size_t room);
int mlr_bpf_open_program(uint32_t identifier);
/* Whether a program was loaded by mlr_bpf_load_device_program: 1, 0 or -errno. */
int mlr_bpf_is_device_program(int program);

/* Extended attributes of a file; a final symbolic link is not followed. The names come with a NUL after each. Return
   the bytes there are; with no room, without writing any. */
int64_t mlr_list_attributes(const char *path, char *names, size_t room);
int64_t mlr_get_attribute(const char *path, const char *name, void *value, size_t room);
/* Sets an extended attribute of an open file. */
int mlr_set_attribute(int descriptor, const char *name, const void *value, size_t length);

#endif
