/*
 * syscall-faults: makes one chosen system call of a program fail, or kills the program just before it.
 *
 * A program's calls are numbered in each of its processes for itself, and processes by who made them ("1" is the first, "1.2"
 * the second child of it), so that a number means the same call in every run, however processes take turns.
 */
#ifndef FAULTS_H
#define FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What is known of one system call. */
struct call_rule {
    long number;
    const char *name;
    /* Failures that it can really have, separated by spaces; NULL for a call that is left alone. */
    const char *errors;
    /* Why it is left alone; or NULL. */
    const char *exemption;
    /* It is made all the same, and only its result is a failure: close(2), whose descriptor is gone whatever it says. */
    bool is_made;
};

/* The rule of a call; for one that the table does not have, a general one without a name. */
const struct call_rule *call_rule(long number);

/* The number of an error by its name, or 0. */
int error_number(const char *name);

/* A chosen call. */
struct target {
    char process[64];
    unsigned long call;
    int error;     /* to fail with; 0: kill the process before it */
};

struct options {
    const char *program;         /* whose calls count; a process that executes something else is let go */
    const char *report;          /* where the list, or what became of the target, is written */
    const struct target *target; /* NULL: only list */
    char *const *command;
};

/* Runs the command; returns its exit status as a shell gives it. */
int trace(const struct options *options);

#endif
