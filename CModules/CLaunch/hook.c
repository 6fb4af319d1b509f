/* Programs that run for a container but are not of it. */
#include "player.h"

#include <linux/prctl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

enum { OUTPUT = 0, ERRORS = 1, FAILURE = 2, PIPES = 3 };

/* The pipes of a running hook: what it says, and whether it could be executed. */
struct pipes {
    int read[PIPES], write[PIPES];
};

static void close_all(int *descriptors) {
    for (int i = 0; i < PIPES; i++) {
        if (descriptors[i] >= 0) close(descriptors[i]);
        descriptors[i] = -1;
    }
}

static int open_pipes(struct pipes *pipes) {
    *pipes = (struct pipes){.read = {-1, -1, -1}, .write = {-1, -1, -1}};
    for (int i = 0; i < PIPES; i++) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) < 0) {
            int failure = -errno;
            close_all(pipes->read);
            close_all(pipes->write);
            return failure;
        }
        pipes->read[i] = ends[0];
        pipes->write[i] = ends[1];
    }
    return 0;
}

static void become_hook(const struct mlr_hook *hook, int input, const char *directory, const struct pipes *pipes) {
    // A player without standard streams of its own may well have got their numbers for these.
    int given = mlr_lift(input, 3), output = mlr_lift(pipes->write[OUTPUT], 3);
    int errors = mlr_lift(pipes->write[ERRORS], 3), failure = mlr_lift(pipes->write[FAILURE], 3);
    if (failure < 0) _exit(127);
    if (given < 0 || output < 0 || errors < 0) goto failed;
    // A group of its own, so that what it starts can be ended with it.
    if (setpgid(0, 0) < 0 || (directory && chdir(directory) < 0)) goto failed;
    if (dup2(given, 0) < 0 || dup2(output, 1) < 0 || dup2(errors, 2) < 0) goto failed;
    // Descriptors of a container's making are nothing for a hook; the one that is left tells of a failed execution.
    if (mlr_close_all_but(3, failure) < 0) goto failed;
    sigset_t none;
    memset(&none, 0, sizeof none);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, 8);
    execve(hook->path, (char *const *)hook->arguments, (char *const *)hook->environment);
failed:;
    int number = errno;
    (void)!write(failure, &number, sizeof number);
    _exit(127);
}

/* The end of what was written to a pipe. */
struct tail {
    char bytes[MLR_HOOK_OUTPUT_ROOM];
    size_t size;
};

/* Takes what one read(2) gives, of at most `limit` bytes. Returns how much, 0 at the end. */
static size_t take(int descriptor, struct tail *tail, size_t limit) {
    char part[sizeof tail->bytes];
    ssize_t got;
    do got = read(descriptor, part, limit < sizeof part ? limit : sizeof part);
    while (got < 0 && errno == EINTR);
    if (got <= 0) return 0;
    size_t size = (size_t)got, kept = sizeof tail->bytes - size;
    if (kept > tail->size) kept = tail->size;
    memmove(tail->bytes, tail->bytes + tail->size - kept, kept);
    memcpy(tail->bytes + kept, part, size);
    tail->size = kept + size;
    return size;
}

/* What is in the pipe by now, and nothing that is written to it from here on: somebody whom the hook left behind may have it
   open, and write for ever. */
static void drain(int descriptor, struct tail *tail) {
    int rest = 0;
    if (descriptor < 0 || ioctl(descriptor, FIONREAD, &rest) < 0) return;
    while (rest > 0) {
        size_t got = take(descriptor, tail, (size_t)rest);
        if (got == 0) return;
        rest -= (int)got;
    }
}

static int milliseconds_until(const struct timespec *deadline) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    long long left = (deadline->tv_sec - now.tv_sec) * 1000LL + (deadline->tv_nsec - now.tv_nsec) / 1000000;
    return left < 0 ? 0 : (int)left;
}

/* Reads what a hook writes until it has ended. Returns -ETIMEDOUT when it did not in its time. */
static int follow(const struct mlr_hook *hook, int pidfd, const struct pipes *pipes, struct tail tails[2]) {
    struct timespec deadline;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += hook->timeout_milliseconds / 1000;
    struct pollfd watched[3] = {
        {.fd = pipes->read[OUTPUT], .events = POLLIN},
        {.fd = pipes->read[ERRORS], .events = POLLIN},
        {.fd = pidfd, .events = POLLIN},
    };
    for (;;) {
        int left = hook->timeout_milliseconds < 0 ? -1 : milliseconds_until(&deadline);
        int ready = poll(watched, 3, left);
        if (ready < 0 && errno != EINTR) return -errno;
        if (ready > 0 && watched[2].revents) return 0;
        if (ready == 0 || left == 0) return -ETIMEDOUT;
        if (ready < 0) continue;
        for (int i = 0; i < 2; i++)
            if (watched[i].revents && take(watched[i].fd, &tails[i], sizeof tails[i].bytes) == 0) watched[i].fd = -1;
    }
}

/* One line: errors are told to terminals and in logs of lines. */
static void describe(const struct tail *tail, char *said) {
    size_t used = 0;
    for (size_t i = 0; i < tail->size; i++) {
        unsigned char byte = (unsigned char)tail->bytes[i];
        // The second byte of U+0080 to U+009F, which are control characters too.
        bool is_control = byte < 0x20 || byte == 0x7F;
        if (byte == 0xC2 && i + 1 < tail->size && (unsigned char)tail->bytes[i + 1] < 0xA0) {
            is_control = true;
            i++;
        }
        if (!is_control && byte != ' ') said[used++] = (char)byte;
        else if (used > 0 && said[used - 1] != ' ') said[used++] = ' ';
    }
    while (used > 0 && said[used - 1] == ' ') used--;
    said[used] = 0;
}

int mlr_run_hook(const struct mlr_hook *hook, int input, const char *directory, char *said) {
    struct pipes pipes;
    int pidfd = -1;
    said[0] = 0;
    if (lseek(input, 0, SEEK_SET) < 0) return -errno;
    int result = open_pipes(&pipes), number = 0;
    if (result < 0) return result;
    struct kernel_clone_arguments arguments = {
        .flags = CLONE_PIDFD | 0x100000000ULL /* CLONE_CLEAR_SIGHAND */,
        .pidfd = (uintptr_t)&pidfd,
        .exit_signal = SIGCHLD,
    };
    long child = syscall(SYS_clone3, &arguments, sizeof arguments);
    if (child == 0) become_hook(hook, input, directory, &pipes);
    if (child < 0) result = -errno;
    close_all(pipes.write);
    if (child < 0) {
        close_all(pipes.read);
        return result;
    }
    if (read(pipes.read[FAILURE], &number, sizeof number) == sizeof number) result = -number;
    struct tail tails[2];
    tails[OUTPUT].size = tails[ERRORS].size = 0;
    int followed = follow(hook, pidfd, &pipes, tails);
    if (followed < 0) {
        // Not waited for yet, so its number is still its own; what it started goes with it.
        kill(-(pid_t)child, SIGKILL);
        syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
        result = followed;
    }
    siginfo_t information;
    memset(&information, 0, sizeof information);
    int waited;
    do waited = (int)syscall(SYS_waitid, P_PIDFD, pidfd, &information, WEXITED, NULL);
    while (waited < 0 && errno == EINTR);
    if (waited < 0 && result == 0) result = -errno;
    for (int i = 0; i < 2; i++) drain(pipes.read[i], &tails[i]);
    close_all(pipes.read);
    close(pidfd);
    describe(&tails[ERRORS], said);
    if (*said == 0) describe(&tails[OUTPUT], said);
    if (result < 0) return result;
    return information.si_code == CLD_EXITED ? information.si_status << 8 : information.si_status;
}

/* As much of the end of the text, where programs say what was wrong, as there is room for. */
static void append_said(struct player *player, size_t used, const char *said) {
    size_t length = strlen(said), room = sizeof player->detail - used;
    if (length == 0 || room < 64) return;
    if (length + 3 > room) said += length + 3 - room;
    // Not from the middle of a character.
    while ((*said & 0xC0) == 0x80) said++;
    used = mlr_append(player->detail, sizeof player->detail, used, ": ");
    mlr_append(player->detail, sizeof player->detail, used, said);
}

static void tell_outcome(struct player *player, const struct mlr_hook *hook, int status, const char *said) {
    char *text = player->detail;
    size_t room = sizeof player->detail, used = mlr_append(text, room, 0, hook->path);
    if (status == -ETIMEDOUT) {
        used = mlr_append(text, room, used, " did not end within ");
        used = mlr_append_number(text, room, used, (unsigned long)hook->timeout_milliseconds / 1000);
        used = mlr_append(text, room, used, " s and was killed");
    } else if (status > 0) {
        used = mlr_append(text, room, used, status & 0x7F ? " was killed by signal " : " exited with code ");
        used = mlr_append_number(text, room, used, (unsigned long)(status & 0x7F ? status & 0x7F : status >> 8));
    }
    append_said(player, used, said);
}

int mlr_step_hooks(struct player *player, const struct mlr_step *step) {
    char said[MLR_HOOK_OUTPUT_ROOM + 1];
    for (size_t i = 0; i < step->size; i++) {
        int status = mlr_run_hook(&step->hooks[i], step->descriptor, step->text, said);
        if (status == 0) continue;
        tell_outcome(player, &step->hooks[i], status, said);
        return status > 0 || status == -ETIMEDOUT ? -ECANCELED : status;
    }
    return 0;
}
