/* The mount API, and loop devices for kernels that cannot mount an image from a file. */
#include "result.h"

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

int mlr_count_mounts(int limit) {
    enum { ROOM = 512 };
    uint64_t ids[ROOM];
    // struct mnt_id_req in its first form; the number stands for the root of the caller's namespace.
    struct {
        uint32_t size, spare;
        uint64_t mount, after;
    } request = {sizeof request, 0, ~0ULL, 0};
    RESULT(syscall(458 /* listmount */, &request, ids, (size_t)(limit < ROOM ? limit : ROOM), 0));
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
