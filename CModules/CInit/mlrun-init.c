/* mlrun-init [--] PROGRAM [ARGUMENT...]: the first process of a container that was started with --init.

   Starts the program, passes signals on to it, takes in every process that has lost its parent, and ends as the program
   ended; the kernel ends what is left of the container then. Linked statically, since images need not have a C library. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static int fail(const char *what, const char *name, int status) {
    fprintf(stderr, "mlrun-init: cannot %s%s%s: %s\n", what, name ? " " : "", name ? name : "", strerror(errno));
    return status;
}

/* In a process group of its own, which becomes the terminal's where there is one: control-C then reaches the program and
   not this process too, which would pass it on a second time. */
static _Noreturn void become(char **arguments, const sigset_t *mask) {
    setpgid(0, 0);
    signal(SIGTTOU, SIG_IGN);
    tcsetpgrp(STDIN_FILENO, getpgrp());
    signal(SIGTTOU, SIG_DFL);
    sigprocmask(SIG_SETMASK, mask, NULL);
    execvp(arguments[0], arguments);
    // As a shell says it, and mlrun without --init.
    _exit(fail("execute", arguments[0], errno == ENOENT || errno == ENOTDIR ? 127 : 126));
}

/* Takes in all that has ended; true once the program has, with what to exit with. */
static int reap(pid_t program, int *status) {
    int ended = 0;
    for (;;) {
        int value;
        pid_t pid = waitpid(-1, &value, WNOHANG);
        if (pid < 0 && errno == EINTR) continue;
        if (pid <= 0) return ended;
        if (pid != program) continue;
        ended = 1;
        *status = WIFSIGNALED(value) ? 128 + WTERMSIG(value) : WEXITSTATUS(value);
    }
}

int main(int count, char **arguments) {
    int first = count > 1 && strcmp(arguments[1], "--") == 0 ? 2 : 1;
    if (first >= count) {
        fprintf(stderr, "usage: mlrun-init [--] PROGRAM [ARGUMENT...]\n");
        return 125;
    }
    // Where it is not the first process of a PID namespace, orphans come to it all the same.
    if (getpid() != 1) prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    sigset_t all, before;
    sigfillset(&all);
    // What this process itself does wrong.
    int own[] = {SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS};
    for (size_t index = 0; index < sizeof own / sizeof *own; index++) sigdelset(&all, own[index]);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid_t program = fork();
    if (program < 0) return fail("start a process", NULL, 125);
    if (program == 0) become(arguments + first, &before);
    for (;;) {
        siginfo_t signal_;
        int number = sigwaitinfo(&all, &signal_);
        if (number < 0) continue;
        int status = 0;
        if (number == SIGCHLD) {
            if (reap(program, &status)) return status;
        } else if (number != SIGTTIN && number != SIGTTOU && number != SIGTSTP) {
            // Gone already: its end is on its way.
            kill(program, number);
        }
    }
}
