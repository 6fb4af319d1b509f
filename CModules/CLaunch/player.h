/* Shared by the parts of the player. Every function returns 0 (or a descriptor) on success and -errno on failure. */
#ifndef PLAYER_H
#define PLAYER_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "claunch.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif
#ifndef SYS_open_tree_attr
#define SYS_open_tree_attr 467
#endif
#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

struct player {
    const struct mlr_launch *launch;
    int step;
    int channel;   /* where reports go: the caller, at the gate and after it whoever opens that */
    int root;      /* the container's root directory */
    int procfs;    /* a procfs of its own, visible to nobody else */
    int null;      /* a read-only mount of the host's verified /dev/null, cloned for masks */
    int mask;      /* an empty read-only directory mounted at the first masked one */
    int parent;    /* the directory of the last node or link, for the next one in it; -1 after any other step */
    char parent_path[256];
    bool knows_owner; /* whether the next is what a node that is made in that directory gets */
    uint32_t owner, group;
    int terminal;  /* the container's side of its console */
    int gate, outcome;
    const char *program;
    bool gated;    /* the channel is the gate's FIFO now, which takes bytes, and a failure at the end */
    bool arrived;  /* the working directory is the program's */
    bool ready;    /* execve is next */
    char detail[MLR_DETAIL_ROOM];
};

#define RESULT(expression)                                                                                            \
    do {                                                                                                              \
        long result_ = (long)(expression);                                                                            \
        return result_ < 0 ? -errno : (int)result_;                                                                   \
    } while (0)

struct kernel_clone_arguments {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

/* As mount_setattr(2) takes it. */
struct mlr_attributes {
    uint64_t set, clear, propagation, user_namespace;
};

int mlr_play(struct player *player);
/* Never returns. */
void mlr_play_to_the_end(const struct mlr_launch *launch) __attribute__((noreturn));
/* Closes descriptors from `first` on; the one that is kept is close-on-exec. */
int mlr_close_all_but(unsigned first, int kept);
/* Runs a function in a process that shares the caller's memory and descriptors, but neither its working directory nor its
   namespaces, and waits for it. */
int mlr_run_apart(int (*body)(void *), void *argument, int namespaces);
/* Moves a descriptor out of the way of those the program will find: returns it, or a copy that is not below `lowest`. */
int mlr_lift(int descriptor, int lowest);
/* From a start gate on single bytes tell how far the player has come. */
int mlr_send_byte(struct player *player, char byte);
/* Returns 0 or -errno: a caller that was not told waits for ever. */
int mlr_send_report(struct player *player, enum mlr_report_kind kind, int error, int descriptor);
void mlr_detail(struct player *player, const char *text);

/* paths.c */
int mlr_in_root(struct player *player, const char *path, int flags, uint64_t further_resolve);
int mlr_make_target(struct player *player, const char *path, bool file, uint64_t further_resolve);
int mlr_mount_target(struct player *player, const struct mlr_step *step, bool file);
/* The directory stays the player's. */
int mlr_make_parent(struct player *player, const char *path, const char **name);
void mlr_forget_parent(struct player *player);
int mlr_procfs(struct player *player);
int mlr_write_procfs(struct player *player, const char *path, const char *text);
int mlr_write_own_procfs(struct player *player, const char *path, const char *text);
int mlr_open_own_procfs(struct player *player, const char *path, int flags);
size_t mlr_append(char *buffer, size_t room, size_t used, const char *text);
size_t mlr_append_number(char *buffer, size_t room, size_t used, unsigned long number);

/* mounts.c */
int mlr_step_mount(struct player *player, const struct mlr_step *step);
int mlr_step_remount(struct player *player, const struct mlr_step *step);
int mlr_step_mount_read_only(const struct mlr_step *step);
int mlr_set_mount(int descriptor, unsigned flags, uint64_t set, uint64_t clear, uint64_t propagation);
int mlr_clone_tree(int descriptor, unsigned flags);
/* open_tree_attr(2): -ENOSYS before Linux 6.15. */
int mlr_open_changed(int directory, const char *path, unsigned flags, struct mlr_attributes attributes);
int mlr_clone_changed(int descriptor, unsigned flags, uint64_t set, uint64_t propagation);
int mlr_attach(int tree, int target);
int mlr_new_mount(struct player *player, const struct mlr_step *step, int target);

/* copyup.c */
int mlr_copy_up(int from, int into);

/* bind.c */
int mlr_step_bind(struct player *player, const struct mlr_step *step);

/* nodes.c, root.c */
int mlr_step_node(struct player *player, const struct mlr_step *step);
int mlr_step_link(struct player *player, const struct mlr_step *step);
int mlr_step_mask(struct player *player, const struct mlr_step *step);
int mlr_step_read_only(struct player *player, const struct mlr_step *step);
int mlr_step_console(struct player *player, const struct mlr_step *step);
int mlr_step_own_root(struct player *player, const struct mlr_step *step);
int mlr_step_attach_root(struct player *player, const struct mlr_step *step);
int mlr_step_enter_root(struct player *player, const struct mlr_step *step);
int mlr_is_null(int descriptor);

/* process.c */
int mlr_step_streams(struct player *player, const struct mlr_step *step);
int mlr_step_working_directory(struct player *player, const struct mlr_step *step);
int mlr_step_bounding_set(const struct mlr_step *step);
int mlr_step_user(const struct mlr_step *step);
int mlr_step_capabilities(const struct mlr_step *step);
int mlr_step_seccomp(struct player *player, const struct mlr_step *step);
int mlr_step_loopback(void);
int mlr_step_time_offsets(struct player *player, const struct mlr_step *step);
int mlr_step_find_program(struct player *player, const struct mlr_step *step);
int mlr_step_gate(struct player *player);
int mlr_step_execute(struct player *player, const struct mlr_step *step);

/* hook.c */
int mlr_step_hooks(struct player *player, const struct mlr_step *step);

#endif
