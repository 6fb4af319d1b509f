/* Descriptors and files. */
#include "result.h"

#include <sys/ioctl.h>

const int MLR_O_PATH = O_PATH, MLR_O_TMPFILE = O_TMPFILE, MLR_O_DIRECT = O_DIRECT;

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

int mlr_ioctl(int descriptor, unsigned long request, void *argument) { RESULT(ioctl(descriptor, request, argument)); }

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

int64_t mlr_getdents(int directory, void *buffer, size_t room) {
    RESULT(syscall(SYS_getdents64, directory, buffer, room));
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

int64_t mlr_list_attributes(const char *path, char *names, size_t room) { RESULT(llistxattr(path, names, room)); }

int64_t mlr_get_attribute(const char *path, const char *name, void *value, size_t room) {
    RESULT(lgetxattr(path, name, value, room));
}

int mlr_set_attribute(int descriptor, const char *name, const void *value, size_t length) {
    RESULT(fsetxattr(descriptor, name, value, length, 0));
}

const char *mlr_error_sentence(int number) { return strerrordesc_np(number); }
