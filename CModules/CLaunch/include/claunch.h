/*
 * The player: runs a launch plan in a freshly cloned child, up to execve.
 *
 * Everything the child needs is laid out by the caller before the clone, in plain structures and open descriptors. The
 * child allocates nothing, takes no lock and calls nothing of libc that is not async-signal-safe, because the process
 * it was cloned from may have had other threads in the middle of anything.
 */
#ifndef CLAUNCH_H
#define CLAUNCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a step does; the comment names the members of mlr_step it reads. */
enum mlr_step_kind {
    MLR_STEP_BECOME_ROOT,      /* - : ids 0 and no supplementary group, in a user namespace just entered */
    MLR_STEP_JOIN,             /* descriptor, a (kind of namespace) */
    MLR_STEP_UNSHARE,          /* a (kinds) */
    MLR_STEP_TIME_OFFSETS,     /* text: lines for timens_offsets; makes and enters the time namespace */
    MLR_STEP_ISOLATE_MOUNTS,   /* a MS_PRIVATE or MS_SLAVE: no mount event goes out to the host, or comes in; descriptor: the
                                  mount namespace to begin with a copy of, or -1: the one made by the clone */
    MLR_STEP_ATTACH_ROOT,      /* descriptor: detached mount; or -1 and data: struct mlr_bind; path: over what, or NULL: the root */
    MLR_STEP_OWN_ROOT,         /* descriptor: the directory to change the root to, or -1: the present root is the container's */
    MLR_STEP_MOUNT,            /* path, text (type), list (key, value or NULL, …), a set, b and c propagation, source, flags,
                                  descriptor (user namespace of its id mapping, or -1), slot, d and data for old mount(2) */
    MLR_STEP_REMOUNT,          /* path, list (as MOUNT, empty for the mount's own attributes only), a set, b clear,
                                  c and d propagation, flags */
    MLR_STEP_MOUNT_READ_ONLY,  /* slot: the mount that was kept there */
    MLR_STEP_BIND,             /* path, descriptor (detached mount) or -1 and data: struct mlr_bind, flags */
    MLR_STEP_NODE,             /* path, mode with type, a major, b minor, owner, group */
    MLR_STEP_LINK,             /* path, text (target) */
    MLR_STEP_MASK,             /* path */
    MLR_STEP_READ_ONLY,        /* path */
    MLR_STEP_DIRECTORY,        /* path */
    MLR_STEP_CONSOLE,          /* a rows, b columns, owner */
    MLR_STEP_HOOKS,            /* hooks, size in hooks, text (directory to run in), descriptor (the state they read) */
    MLR_STEP_ENTER_ROOT,       /* a 1: by chroot(2), where the host's root cannot be pivoted */
    MLR_STEP_ROOT_PROPAGATION, /* b */
    MLR_STEP_ROOT_READ_ONLY,   /* - */
    MLR_STEP_HOST_NAME,        /* text */
    MLR_STEP_DOMAIN_NAME,      /* text */
    MLR_STEP_SYSCTL,           /* path below /proc/sys, text */
    MLR_STEP_OWN_ATTRIBUTE,    /* path below /proc/self, text */
    MLR_STEP_LOOPBACK,         /* - */
    MLR_STEP_SESSION,          /* - : setsid */
    MLR_STEP_KEYRING,          /* text */
    MLR_STEP_LIMIT,            /* mode (resource), a soft, b hard */
    MLR_STEP_SCHEDULER,        /* data: struct sched_attr */
    MLR_STEP_IO_PRIORITY,      /* a */
    MLR_STEP_PERSONALITY,      /* a */
    MLR_STEP_MEMORY_POLICY,    /* a mode with flags, data: node mask, size in bits */
    MLR_STEP_AFFINITY,         /* data: cpu mask, size in bytes */
    MLR_STEP_FILE_MASK,        /* mode */
    MLR_STEP_STREAMS,          /* owner, flags */
    MLR_STEP_WORKING_DIRECTORY,/* path, flags */
    MLR_STEP_BOUNDING_SET,     /* a */
    MLR_STEP_USER,             /* owner, group, data: gid_t[], size in groups, a 1: groups may be out of reach */
    MLR_STEP_CAPABILITIES,     /* a effective, b permitted, c inheritable, d ambient */
    MLR_STEP_NO_NEW_PRIVILEGES,/* - */
    MLR_STEP_END_WITH_LAUNCHER,/* - : PR_SET_PDEATHSIG */
    MLR_STEP_SECCOMP,          /* data: struct sock_filter[], size in filters, a flags of seccomp(2), flags */
    MLR_STEP_FIND_PROGRAM,     /* list of candidate paths */
    MLR_STEP_GATE,             /* - */
    MLR_STEP_EXECUTE,          /* list (arguments), environment */
};

enum {
    MLR_TARGET_IS_FILE = 1,     /* BIND: the mount point to create is a file */
    MLR_TARGET_IS_STRICT = 2,   /* MOUNT, BIND: no symbolic link on the way, and a real directory */
    MLR_TARGET_IS_LINK = 4,     /* MOUNT, BIND, REMOUNT: a link at the end of the path is covered, not followed */
    MLR_MOUNT_TAKES_MODE = 8,   /* MOUNT: the root directory gets the mode of the one it covers */
    MLR_MOUNT_COPIES_UP = 16,   /* MOUNT: what it covers is copied into it */
    MLR_MOUNT_IS_OLD = 32,      /* MOUNT: by mount(2), for flags that the new mount API has no name for */
    MLR_SECCOMP_IS_LAST = 1,    /* SECCOMP: nothing but the execution follows */
    MLR_SECCOMP_RAISES = 2,     /* SECCOMP: put CAP_SYS_ADMIN into effect before */
    MLR_STREAMS_CHOWN = 1,      /* STREAMS: give them to the container's user */
    MLR_OWN_NUMBER_ROOM = 10,   /* digits of the highest pid */
    MLR_DIRECTORY_EARLY = 1,    /* WORKING_DIRECTORY: before the ids change; EACCES is left to the later step */
    MLR_DETAIL_ROOM = 1024,     /* of a report's text; with the rest of it less than what a pipe takes as one (PIPE_BUF) */
    MLR_HOOK_OUTPUT_ROOM = 4096, /* of what a hook says, the end that is kept */
};

struct mlr_hook {
    const char *path;
    const char *const *arguments;
    const char *const *environment;
    int timeout_milliseconds; /* -1: none */
};

struct mlr_step {
    uint32_t kind, flags;
    int32_t descriptor;
    uint32_t mode, owner, group;
    uint64_t a, b, c, d;
    const char *path, *text, *source;
    const char *const *list;
    const char *const *environment;
    const struct mlr_hook *hooks;
    const void *data;
    size_t size;
    int32_t *slot; /* where a step leaves a descriptor for a later one */
};

/* The source of a bind mount, or a root directory, with what becomes of its mounts. */
struct mlr_bind {
    const char *source;
    int32_t user_namespace;         /* whose mappings its owners go through, or -1 */
    bool recursive, maps_deep, is_link;
    uint64_t set, clear;            /* MOUNT_ATTR_*, of the mount itself */
    uint64_t deep_set, deep_clear;  /* and of all below it too */
    uint64_t propagation[3];        /* one after the other, with MS_REC or not; 0 ends them */
};

struct mlr_join {
    int32_t descriptor;
    uint32_t kinds;
};

struct mlr_launch {
    uint64_t namespaces;           /* CLONE_NEW* of the clone that makes the container's process */
    const struct mlr_join *joins;  /* joined by a stage of its own before that clone, in this order */
    size_t join_count;
    int32_t cgroup;                /* directory, or -1 */
    int32_t channel;               /* the child's end of a SOCK_SEQPACKET pair */
    const int32_t *kept;           /* every descriptor the child needs, ascending; all others it closes at once */
    size_t kept_count;
    int32_t gate;                  /* a FIFO, from which a byte comes that lets the container go; or -1 */
    int32_t outcome;               /* another one, which is told then how far the player comes */
    const void *affinity;          /* processors to start on, before the cgroup is entered; or NULL */
    size_t affinity_size;          /* in bytes */
    int32_t streams[3];            /* -1: the container's /dev/null */
    bool inherit_streams;
    const int32_t *extra;          /* become 3, 4, … */
    size_t extra_count;
    char *own_number;              /* MLR_OWN_NUMBER_ROOM characters and a NUL that become the process's own pid, or NULL */
    const struct mlr_step *steps;
    size_t step_count;
};

enum mlr_report_kind {
    MLR_REPORT_FAILED,    /* step, error, text; the child is gone or going */
    MLR_REPORT_STAGED,    /* error holds the pid of the container's process */
    MLR_REPORT_CONSOLE,   /* one descriptor: the controlling side of the terminal */
    MLR_REPORT_LISTENER,  /* one descriptor: seccomp's notifications; the player waits for one byte */
    MLR_REPORT_GATE,      /* all is done but what follows the gate; the channel closes */
    MLR_REPORT_EXECUTING, /* execve is next; the end of the channel means that it happened */
};

struct mlr_report {
    uint32_t kind;
    int32_t step;
    int32_t error;      /* positive errno */
    uint32_t step_kind; /* of the step, for those who have no plan to look it up in */
    char text[MLR_DETAIL_ROOM];
};

/* Clones the child (or the stage that will), which waits for one byte on its channel before its first step. Returns 0
   and fills pid and pidfd, or -errno. Blocks all signals meanwhile. */
int mlr_launch(const struct mlr_launch *launch, int *pid, int *pidfd);

/* Makes a detached clone of the source's mounts, ready to be attached. Returns it, or -errno and in *failed words for what
   failed, to be read after "cannot" and before the path. Async-signal-safe. */
int mlr_open_bind(const struct mlr_bind *bind, const char **failed);

/* As mlr_open_bind, in another mount namespace and with its locks (mount_namespaces(7)). Not async-signal-safe. */
int mlr_open_bind_in(int namespace, const struct mlr_bind *bind, const char **failed);

/* Runs a program to its end with nothing but the environment given and standard input from `input` (rewound), in `directory`
   unless NULL. What it writes goes nowhere but, as one line without control characters, into the MLR_HOOK_OUTPUT_ROOM + 1
   bytes of `said`: the end of its standard error, or of its standard output when that is empty. Whatever it leaves running
   is not waited for. Returns the wait status (wait(2)), -ETIMEDOUT after killing it, or -errno when it could not be run.
   Async-signal-safe. */
int mlr_run_hook(const struct mlr_hook *hook, int input, const char *directory, char *said);

/* Executes the calling program again from a read-only mount of its own file, with its path and the same arguments. Returns 0 when it runs from
   one already, or -errno when that is not to be had, as without CAP_SYS_ADMIN. For a single-threaded start of main. */
int mlr_run_sealed(char *const *arguments, char *const *environment);

/* As mlr_run_sealed, from a copy in memory that nobody can change (F_SEAL_WRITE of fcntl(2)), which takes no rights. Returns 0
   when it runs from one already, and where the caller may not write to the file anyway. */
int mlr_run_copied(char *const *arguments, char *const *environment);

/* The path of the file that the calling program was started from, also after these. Returns 0 or -errno. */
int mlr_program_path(char *const *arguments, char *path, size_t room);

/* A process that does nothing but hold new namespaces open. */
struct mlr_holder {
    int pid, pidfd;
    void *stack;
};
int mlr_hold_namespaces(struct mlr_holder *holder, uint64_t kinds);
/* The same with a user namespace that is there; the process has ended, and only /proc shows it. */
int mlr_hold_user_namespace(struct mlr_holder *holder, int descriptor);
void mlr_release_namespaces(struct mlr_holder *holder);

/* Makes a mount namespace that holds an empty read-only directory with /dev/null in it, and returns it open, or -errno.
   Needs CAP_SYS_ADMIN and CAP_MKNOD. */
int mlr_make_mount_namespace(void);

/* The wait status the kernel keeps with the pidfd of a reaped process, or -errno. */
int mlr_pidfd_exit_status(int pidfd);

#endif
