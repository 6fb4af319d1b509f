/* The tracer: ptrace(2) of a command and of all that it makes. */
#define _GNU_SOURCE
#include "faults.h"

#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/ptrace.h>

enum fault { NONE, SKIPPED, MADE };

struct process {
    pid_t pid;
    char name[64];
    unsigned children;
    unsigned long calls;
    bool is_program;   /* it runs the program, so its calls count */
    bool is_named;     /* its maker's event has come, so that its name is known */
    bool is_stopped;   /* it has made its first stop, and waits for a name */
    bool is_restarting;/* the call to come is the last one again */
    bool is_inside;    /* of a call */
    enum fault fault;
    long error;
    struct process *next;
};

static struct process *processes;
static const struct options *options;
static FILE *report;
static struct stat program;
static bool was_reached;

static void fail(const char *what) {
    fprintf(stderr, "syscall-faults: cannot %s: %s\n", what, strerror(errno));
    exit(125);
}

static struct process *find(pid_t pid) {
    for (struct process *each = processes; each; each = each->next)
        if (each->pid == pid) return each;
    struct process *made = calloc(1, sizeof *made);
    if (!made) fail("keep track of a process");
    made->pid = pid;
    made->next = processes;
    processes = made;
    return made;
}

static void forget(pid_t pid) {
    for (struct process **each = &processes; *each; each = &(*each)->next) {
        if ((*each)->pid != pid) continue;
        struct process *gone = *each;
        *each = gone->next;
        free(gone);
        return;
    }
}

/* One that is gone has been killed meanwhile, which its own event tells. */
static void go_on(const struct process *process, int signal) {
    ptrace(process->is_program ? PTRACE_SYSCALL : PTRACE_CONT, process->pid, NULL, (void *)(long)signal);
}

static void let_go(struct process *process, int signal) {
    ptrace(PTRACE_DETACH, process->pid, NULL, (void *)(long)signal);
    forget(process->pid);
}

// MARK: Registers

#if defined(__x86_64__)
static void set_call(pid_t pid, long number) {
    struct user_regs_struct registers;
    if (ptrace(PTRACE_GETREGS, pid, NULL, &registers) < 0) return;
    registers.orig_rax = (unsigned long long)number;
    ptrace(PTRACE_SETREGS, pid, NULL, &registers);
}

static void set_result(pid_t pid, long result) {
    struct user_regs_struct registers;
    if (ptrace(PTRACE_GETREGS, pid, NULL, &registers) < 0) return;
    registers.rax = (unsigned long long)result;
    ptrace(PTRACE_SETREGS, pid, NULL, &registers);
}
#elif defined(__aarch64__)
static void set_call(pid_t pid, long number) {
    int call = (int)number;
    struct iovec part = {&call, sizeof call};
    ptrace(PTRACE_SETREGSET, pid, (void *)0x404L /* NT_ARM_SYSTEM_CALL */, &part);
}

static void set_result(pid_t pid, long result) {
    struct user_regs_struct registers;
    struct iovec part = {&registers, sizeof registers};
    if (ptrace(PTRACE_GETREGSET, pid, (void *)(long)NT_PRSTATUS, &part) < 0) return;
    registers.regs[0] = (unsigned long long)result;
    ptrace(PTRACE_SETREGSET, pid, (void *)(long)NT_PRSTATUS, &part);
}
#else
#error "syscall-faults knows the registers of x86_64 and aarch64 only"
#endif

// MARK: Calls

static void told(const struct process *process, const struct call_rule *rule, long number) {
    char general[32];
    snprintf(general, sizeof general, "call_%ld", number);
    fprintf(report, "%s %lu %s", process->name, process->calls, rule->name ? rule->name : general);
    if (rule->exemption) fprintf(report, " - %s\n", rule->exemption);
    else fprintf(report, " %s\n", rule->errors);
    fflush(report);
}

static void enter(struct process *process, long number) {
    if (process->is_restarting) {
        process->is_restarting = false;
        return;
    }
    const struct call_rule *rule = call_rule(number);
    process->calls++;
    const struct target *target = options->target;
    if (!target) {
        told(process, rule, number);
        return;
    }
    if (process->calls != target->call || strcmp(process->name, target->process) != 0) return;
    was_reached = true;
    told(process, rule, number);
    if (target->error == 0) {
        kill(process->pid, SIGKILL);
    } else if (rule->is_made) {
        process->fault = MADE;
    } else {
        process->fault = SKIPPED;
        set_call(process->pid, -1);
    }
}

static void leave(struct process *process, long result) {
    if (process->fault != NONE) set_result(process->pid, -options->target->error);
    else process->is_restarting = result <= -512 && result >= -516 && result != -515;
    process->fault = NONE;
}

static void stop_at_call(struct process *process) {
    struct ptrace_syscall_info info;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, process->pid, (void *)sizeof info, &info) < 0) return;
    process->is_inside = info.op == PTRACE_SYSCALL_INFO_ENTRY || info.op == PTRACE_SYSCALL_INFO_SECCOMP;
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) enter(process, (long)info.entry.nr);
    else if (info.op == PTRACE_SYSCALL_INFO_EXIT) leave(process, (long)info.exit.rval);
}

// MARK: Processes

static bool runs_program(pid_t pid) {
    char path[32];
    struct stat status;
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    return stat(path, &status) == 0 && status.st_dev == program.st_dev && status.st_ino == program.st_ino;
}

static void made_another(struct process *maker) {
    unsigned long message = 0;
    if (ptrace(PTRACE_GETEVENTMSG, maker->pid, NULL, &message) < 0) return;
    struct process *child = find((pid_t)message);
    snprintf(child->name, sizeof child->name, "%.48s.%u", maker->name, ++maker->children);
    child->is_named = true;
    child->is_program = maker->is_program;
    if (child->is_stopped) go_on(child, 0);
}

/* What the program executes is none of it: a payload or a hook runs as if nobody watched. */
static bool executed_other(struct process *process) {
    bool was_program = process->is_program;
    process->is_program = runs_program(process->pid);
    if (!was_program || process->is_program) return false;
    let_go(process, 0);
    return true;
}

static void stopped(pid_t pid, int status) {
    struct process *process = find(pid);
    int signal = WSTOPSIG(status), event = status >> 16;
    switch (event) {
    case PTRACE_EVENT_FORK:
    case PTRACE_EVENT_VFORK:
    case PTRACE_EVENT_CLONE: made_another(process); break;
    case PTRACE_EVENT_EXEC:
        if (executed_other(process)) return;
        break;
    case PTRACE_EVENT_STOP:
        if (!process->is_named) {
            process->is_stopped = true;
            return;
        }
        if (signal != SIGTRAP) {
            ptrace(PTRACE_LISTEN, pid, NULL, NULL);
            return;
        }
        break;
    case 0:
        if (signal == (SIGTRAP | 0x80)) stop_at_call(process);
        else {
            go_on(process, signal);
            return;
        }
        break;
    }
    go_on(process, 0);
}

static bool counts_any(void) {
    for (struct process *each = processes; each; each = each->next)
        if (each->is_program) return true;
    return false;
}

/* Handles one event; false when there is none, or nobody to have one. */
static bool handle(int how, pid_t command, int *status_of_command) {
    int status;
    pid_t pid = waitpid(-1, &status, __WALL | how);
    if (pid <= 0) return false;
    if (WIFSTOPPED(status)) {
        stopped(pid, status);
        return true;
    }
    if (pid == command) *status_of_command = status;
    forget(pid);
    return true;
}

/* What the command left, such as a process that waits to be started: it goes on to where it stands still. */
static void settle(pid_t command, int *status) {
    for (int quiet = 0; counts_any() && quiet < 20;) {
        if (handle(WNOHANG, command, status)) {
            quiet = 0;
            continue;
        }
        struct timespec millisecond = {0, 1000000};
        nanosleep(&millisecond, NULL);
        quiet++;
    }
    while (processes) {
        struct process *process = processes;
        int stop;
        ptrace(PTRACE_INTERRUPT, process->pid, NULL, NULL);
        if (waitpid(process->pid, &stop, __WALL) != process->pid || !WIFSTOPPED(stop)) {
            forget(process->pid);
            continue;
        }
        bool is_signal = stop >> 16 == 0 && WSTOPSIG(stop) != (SIGTRAP | 0x80);
        let_go(process, is_signal ? WSTOPSIG(stop) : 0);
    }
}

static pid_t start(void) {
    int gate[2];
    if (pipe2(gate, 02000000 /* O_CLOEXEC */) < 0) fail("create a pipe");
    pid_t command = fork();
    if (command < 0) fail("create a process");
    if (command == 0) {
        char go;
        close(gate[1]);
        if (read(gate[0], &go, 1) != 1) _exit(125);
        execvp(options->command[0], options->command);
        fail(options->command[0]);
    }
    long wanted = PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC
                  | PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL;
    if (ptrace(PTRACE_SEIZE, command, NULL, (void *)wanted) < 0) {
        kill(command, SIGKILL);
        fail("trace a process");
    }
    struct process *first = find(command);
    strcpy(first->name, "1");
    first->is_named = true;
    if (write(gate[1], "g", 1) != 1) fail("start the command");
    close(gate[0]);
    close(gate[1]);
    return command;
}

int trace(const struct options *chosen) {
    options = chosen;
    if (stat(options->program, &program) < 0) fail(options->program);
    report = fopen(options->report, "we");
    if (!report) fail(options->report);
    pid_t command = start();
    int status = -1;
    while (status == -1 && handle(0, command, &status)) {}
    settle(command, &status);
    if (options->target && !was_reached) fprintf(report, "not reached\n");
    fclose(report);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
