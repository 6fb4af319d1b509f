/* Programs that run for a container but are not of it. */
#include "player.h"

#include <linux/prctl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static void become_hook(const struct mlr_hook *hook, int input, const char *directory, int failure) {
    // Descriptors of a container's making are nothing for a hook; the last one tells of a failed execution.
    // A group of its own, so that what it starts can be ended with it.
    if (setpgid(0, 0) < 0 || dup2(input, 0) < 0 || (directory && chdir(directory) < 0)) goto failed;
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

int mlr_run_hook(const struct mlr_hook *hook, int input, const char *directory) {
    int ends[2], pidfd = -1;
    if (lseek(input, 0, SEEK_SET) < 0 || pipe2(ends, O_CLOEXEC) < 0) return -errno;
    struct kernel_clone_arguments arguments = {
        .flags = CLONE_PIDFD | 0x100000000ULL /* CLONE_CLEAR_SIGHAND */,
        .pidfd = (uintptr_t)&pidfd,
        .exit_signal = SIGCHLD,
    };
    long child = syscall(SYS_clone3, &arguments, sizeof arguments);
    if (child == 0) become_hook(hook, input, directory, ends[1]);
    int result = child < 0 ? -errno : 0, number = 0;
    close(ends[1]);
    if (result == 0 && read(ends[0], &number, sizeof number) == sizeof number) result = -number;
    close(ends[0]);
    if (child < 0) return result;
    struct pollfd ended = {.fd = pidfd, .events = POLLIN};
    int ready;
    do ready = poll(&ended, 1, hook->timeout_milliseconds);
    while (ready < 0 && errno == EINTR);
    if (ready == 0) {
        // Not waited for yet, so its number is still its own; what it started would else hold this program's output open.
        kill(-(pid_t)child, SIGKILL);
        syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
        result = -ETIMEDOUT;
    }
    siginfo_t information;
    memset(&information, 0, sizeof information);
    int waited;
    do waited = (int)syscall(SYS_waitid, P_PIDFD, pidfd, &information, WEXITED, NULL);
    while (waited < 0 && errno == EINTR);
    if (waited < 0 && result == 0) result = -errno;
    close(pidfd);
    if (result < 0) return result;
    return information.si_code == CLD_EXITED ? information.si_status << 8 : information.si_status;
}

int mlr_step_hooks(struct player *player, const struct mlr_step *step) {
    for (size_t i = 0; i < step->size; i++) {
        int status = mlr_run_hook(&step->hooks[i], step->descriptor, step->text);
        if (status == 0) continue;
        char text[240];
        size_t used = mlr_append(text, sizeof text, 0, step->hooks[i].path);
        if (status > 0) {
            used = mlr_append(text, sizeof text, used, status & 0x7F ? " was killed by signal " : " exited with code ");
            mlr_append_number(text, sizeof text, used, (unsigned long)(status & 0x7F ? status & 0x7F : status >> 8));
        }
        mlr_detail(player, text);
        return status > 0 ? -ECANCELED : status;
    }
    return 0;
}
